"""Explanations of Keras image and signal classifiers: one import, `import xai_utils as xu`.

The contract of every method
----------------------------
    attribution = xu.method(model, inputs, targets=None, *, ...options...)

model       any Keras 3 model: functional, Sequential, nested, subclassed; softmax, sigmoid or logits at its end. It
            comes back untouched. Or a view of one: `logits`, `unit`, `head`. Occlusion, RISE and LIME take any function
            predict(inputs) -> (N, K) as well.
inputs      an array (N, ..., C) in the model's own units: signals (N, T, C), images (N, H, W, C), volumes and video
            (N, D, H, W, C), features (N, F). Of a model with several inputs a list or a dictionary of them, as Keras
            takes them. PIL images are scaled to `model.input_range`. Integers are taken where the model takes them:
            bytes are explained behind their cast, tokens at the output of their embedding.
targets     the class to explain: one index per example, one for all, one-hot rows, or None for the predicted class.
score       what S_c is: "logit" (before the softmax), "probability", or "value": the number that an output gives,
            for a network that predicts an age or a temperature. A one-unit sigmoid model has the logits -z and z for
            its classes 0 and 1; the value of one unit has the target 0 alone. Unless given, a model that ends
            linearly and was compiled with a loss of numbers (mean squared error, ...) is explained by its value.
            Or a score of one's own: `contrast(a, b)`, one class rather than another; `region(mask)`, a class over a
            region of a dense prediction; a function f(outputs, targets) -> (N,) of TensorFlow operations, traced once
            for as long as it is the same object.
activation  "softmax" or "sigmoid": how logits become probabilities where the model ends in logits; None asks the loss
            that the model was compiled with (from_logits=True). Where neither tells, a warning names the readings.
head        which output of a model with several is explained: its name or its number.
only        which input of a model with several is explained, by name or number; the others are held fixed. None
            explains all: gradients move them together, other methods take one after the other.
layer       a layer's name, the layer itself, or the name of a sum or product that was written as an operator; None
            is the last of them that has positions and through which every way to the score leads. A list gives the sum
            of the maps of its layers.
grid        rows and columns of the patches where a layer gives tokens (N, tokens, K); None finds them behind a
            convolution whose positions are laid in a row. Tokens that are no patch, such as a class token, have no
            place in a map; those that `grid` leaves over are taken to stand in front.
upsample    False returns a map on the layer's own grid, True at input resolution (linear interpolation).
align       "centres": each value of a coarse map lies in the middle of what its position reads of the input (its
            receptive field); "stretch": the grid is spread evenly over the input, as other libraries do, which lies
            aside where a network pads unevenly, not at all, or leaves a rest.
seed        feeds a generator of the call's own; the same noise serves every input, so an input alone and in a
            batch get the same answer.
batch_size  inputs per pass through the network: memory and speed, not the answer.

returns     one float32 array, raw and signed: in the shape of `inputs` from the gradient and relevance families
            and Guided Grad-CAM, without the channels, (N, H, W) or (N, T), from the CAM and perturbation families. Of
            several inputs a list or dictionary of these; None stands for an input that has no map of the kind. Nothing
            is scaled for the eye: that is what the plots do.
raises      TypeError, ValueError before any compute, naming the argument, what was given, what is allowed and
            the cure; `XAIWarning` for what is legal but probably not meant.

What is explained is what `model.predict` answers: layers run with training=False. Where a network draws random numbers
all the same, the seeds that it holds come back as they were, so that equal calls give equal bits; a draw whose state
cannot be put back is said. Of a model the graphs of the last 64 questions are kept, for as long as it lives; `forget`
says which changes of it are noticed. Threads may share a model. Processes are to be spawned (or loky's workers): one
that is forked after TensorFlow has run hangs in TensorFlow itself.

Where a GPU is visible, masks are made on it and only their codes cross; without one they are made on the host. The
environment variable XAI_MASKS ("graph", "host") asks for one of both: equal seeds mean equal masks, and the maps agree
to 1e-5 of their maximum. A function that is no Keras model is always asked from the host.
"""

from heatproof.checks import XAIWarning
from heatproof.data.broden import load_broden
from heatproof.data.captions import counterfactuals, load_captioned
from heatproof.data.captions_birds import load_birds
from heatproof.data.captions_vocabulary import Vocabulary
from heatproof.data.concept_pictures import concept_pictures
from heatproof.data.concepts import Concepts, colour_masks
from heatproof.data.fer2013 import load_fer2013
from heatproof.data.hmt import load_hmt
from heatproof.data.phantom_parts import face_parts, tissue_parts
from heatproof.data.phantoms import schematic_faces, tissue_phantom
from heatproof.data.photographs import crops, load_photos
from heatproof.data.pictures import load_faces
from heatproof.display.charts import plot_architecture, plot_confusion, plot_curves, plot_intervals
from heatproof.display.plots import plot_attributions, plot_images, plot_signals
from heatproof.display.saving import describe, save_figure, save_table, save_value
from heatproof.display.scores import plot_scores
from heatproof.display.style import use_style
from heatproof.display.volumes import plot_volume
from heatproof.engine.layout import channels_last
from heatproof.engine.query import Query, scores
from heatproof.engine.scores import contrast, region
from heatproof.engine.views import forget, head, logits, unit, with_relu_rule
from heatproof.inside.ablation import ablated
from heatproof.inside.dissection import dissect
from heatproof.inside.fields import patches
from heatproof.inside.neighbours import features, knn_accuracy, layer_map, neighbours
from heatproof.inside.search import strongest
from heatproof.inside.synthesis import activation_maximization, class_model, deep_dream
from heatproof.inside.units import activations, kernels, unit_map
from heatproof.methods.attention import attention_rollout
from heatproof.methods.cam import (
    cam,
    grad_cam,
    grad_cam_plus_plus,
    guided_grad_cam,
    hires_cam,
    layer_cam,
)
from heatproof.methods.cam_by_scores import ablation_cam, score_cam
from heatproof.methods.catalogue import METHODS, methods_table, relevance
from heatproof.methods.deep_lift import deep_lift
from heatproof.methods.expected import expected_gradients
from heatproof.methods.extremal import extremal_perturbation
from heatproof.methods.gradients import (
    deconvnet,
    gradient_x_input,
    guided_backprop,
    integrated_gradients,
    saliency,
    smooth_grad,
    var_grad,
)
from heatproof.methods.learned_masks import meaningful_perturbation
from heatproof.methods.lime import lime
from heatproof.methods.masks import rise, sise
from heatproof.methods.occlusion import occlusion
from heatproof.methods.propagation import lrp
from heatproof.methods.rows import Method
from heatproof.methods.segments import pros_and_cons, superpixels
from heatproof.methods.shap import kernel_shap
from heatproof.methods.words import explain_in_words
from heatproof.metrics.cases import Metric
from heatproof.metrics.catalogue import METRICS
from heatproof.metrics.clusters import spectral_clusters
from heatproof.metrics.committed import read_choices, read_options, read_scores
from heatproof.metrics.cost import peak_memory
from heatproof.metrics.detection import concentration, detection, evidence_density
from heatproof.metrics.evaluation import evaluate
from heatproof.metrics.faithfulness import (
    area_under_curve,
    average_drop,
    average_increase,
    completeness_gap,
    deletion_curve,
    infidelity,
    insertion_curve,
    keep_top,
    soft_mask,
)
from heatproof.metrics.forging import forged, softened
from heatproof.metrics.localisation import average_precision, evidence_mass, pointing_game, rank_accuracy
from heatproof.metrics.randomisation import (
    entropy_rise,
    hog_similarity,
    map_entropy,
    randomisation,
    randomised,
    rank_correlation,
    similarity,
)
from heatproof.metrics.rank_spread import rank_spread
from heatproof.metrics.regions import aopc, region_perturbation
from heatproof.metrics.removal import removal_curve, remove_top
from heatproof.metrics.robustness import max_sensitivity
from heatproof.metrics.sanity import data_test, edge_map, noise_averaged, parameter_test, random_map
from heatproof.metrics.scaffold import scaffolded
from heatproof.metrics.summary import rank_agreement, summarise
from heatproof.metrics.tuning import tune
from heatproof.metrics.words import cider, class_rank, class_similarity, distinct_sentences, document_frequencies
from heatproof.metrics.words_truth import claims_kept, follows_picture, judge_words
from heatproof.networks.accuracy import wilson_interval
from heatproof.networks.captioner_files import load_captioner
from heatproof.networks.captioner_losses import advantages, word_weights
from heatproof.networks.cards import load_model, read_card, save_model
from heatproof.networks.familiar import strangeness
from heatproof.networks.imagenet import imagenet_network

__all__ = [
    "METHODS",
    "METRICS",
    "Concepts",
    "Method",
    "Metric",
    "Query",
    "Vocabulary",
    "XAIWarning",
    "ablated",
    "ablation_cam",
    "activation_maximization",
    "activations",
    "advantages",
    "aopc",
    "area_under_curve",
    "attention_rollout",
    "average_drop",
    "average_increase",
    "average_precision",
    "cam",
    "channels_last",
    "cider",
    "claims_kept",
    "class_model",
    "class_rank",
    "class_similarity",
    "colour_masks",
    "completeness_gap",
    "concentration",
    "concept_pictures",
    "contrast",
    "counterfactuals",
    "crops",
    "data_test",
    "deconvnet",
    "deep_dream",
    "deep_lift",
    "deletion_curve",
    "describe",
    "detection",
    "dissect",
    "distinct_sentences",
    "document_frequencies",
    "edge_map",
    "entropy_rise",
    "evaluate",
    "evidence_density",
    "evidence_mass",
    "expected_gradients",
    "explain_in_words",
    "extremal_perturbation",
    "face_parts",
    "features",
    "follows_picture",
    "forged",
    "forget",
    "grad_cam",
    "grad_cam_plus_plus",
    "gradient_x_input",
    "guided_backprop",
    "guided_grad_cam",
    "head",
    "hires_cam",
    "hog_similarity",
    "imagenet_network",
    "infidelity",
    "insertion_curve",
    "integrated_gradients",
    "judge_words",
    "keep_top",
    "kernel_shap",
    "kernels",
    "knn_accuracy",
    "layer_cam",
    "layer_map",
    "lime",
    "load_birds",
    "load_broden",
    "load_captioned",
    "load_captioner",
    "load_faces",
    "load_fer2013",
    "load_hmt",
    "load_model",
    "load_photos",
    "logits",
    "lrp",
    "map_entropy",
    "max_sensitivity",
    "meaningful_perturbation",
    "methods_table",
    "neighbours",
    "noise_averaged",
    "occlusion",
    "parameter_test",
    "patches",
    "peak_memory",
    "plot_architecture",
    "plot_attributions",
    "plot_confusion",
    "plot_curves",
    "plot_images",
    "plot_intervals",
    "plot_scores",
    "plot_signals",
    "plot_volume",
    "pointing_game",
    "pros_and_cons",
    "random_map",
    "randomisation",
    "randomised",
    "rank_accuracy",
    "rank_agreement",
    "rank_correlation",
    "rank_spread",
    "read_card",
    "read_choices",
    "read_options",
    "read_scores",
    "region",
    "region_perturbation",
    "relevance",
    "removal_curve",
    "remove_top",
    "rise",
    "saliency",
    "save_figure",
    "save_model",
    "save_table",
    "save_value",
    "scaffolded",
    "schematic_faces",
    "score_cam",
    "scores",
    "similarity",
    "sise",
    "smooth_grad",
    "soft_mask",
    "softened",
    "spectral_clusters",
    "strangeness",
    "strongest",
    "summarise",
    "superpixels",
    "tissue_parts",
    "tissue_phantom",
    "tune",
    "unit",
    "unit_map",
    "use_style",
    "var_grad",
    "wilson_interval",
    "with_relu_rule",
    "word_weights",
]
