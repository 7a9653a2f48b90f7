"""The questions of the panel: every method and every metric, with their defaults and with other options.

Only the two faces are asked, so that the same questions can be put to another commit whose rooms have other names.
"""

import tempfile
import warnings
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import mnist1d_utils as m1
import xai_utils as xu
from tools.panel.networks import MODELS, Subject, subjects

# For large networks, for inner units, and under metrics that explain again.
FEW = {
    "smooth_grad": {"samples": 3},
    "var_grad": {"samples": 3},
    "integrated_gradients": {"steps": 4},
    "rise": {"masks": 40},
    "lime": {"samples": 40, "segments": 12},
    "expected_gradients": {"samples": 4},
    "kernel_shap": {"samples": 96, "segments": 12},
    "meaningful_perturbation": {"steps": 5},
}
BY_PROBABILITY = ("rise", "lime", "kernel_shap", "meaningful_perturbation")
OF_UNIT = {"score_cam": {"weights": "softmax"}} | dict.fromkeys(BY_PROBABILITY, {"score": "logit"})


class Answers(dict):
    """Arrays by name."""

    def ask(self, name, function, *arguments, **options):
        """Keep what a call gives, or that it refuses, and how many warnings it draws; returns what it gives."""
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                found = function(*arguments, **options)
            except ValueError:  # a TypeError would be a mistake in this file
                found = "refused"
        self.keep(name, found)
        if told := sum(issubclass(warning.category, xu.XAIWarning) for warning in heard):
            self.keep(f"{name} warns", told)
        return found

    def keep(self, name, found):
        """Keep an array, text or number as an array; the parts of tables, records, dictionaries and tuples singly."""
        if isinstance(found, pd.DataFrame):
            found = {column: found[column].tolist() for column in found}
        elif is_dataclass(found):
            found = asdict(found)
        elif hasattr(found, "_asdict"):
            found = found._asdict()
        elif isinstance(found, tuple) and any(np.ndim(part) for part in found):
            found = dict(enumerate(found))
        if isinstance(found, dict):
            for part, value in found.items():
                self.keep(f"{name}[{part}]", value)
            return
        array = np.array(found)
        if name in self or array.dtype.hasobject:
            raise RuntimeError(f"{name}: asked twice, or no array: {array.dtype}")
        self[name] = array


def ask_all() -> Answers:
    if Path(xu.__file__).resolve().parent != MODELS.parent:
        raise SystemExit(f"xai_utils comes from {xu.__file__}; run this from {MODELS.parent}")
    answers = Answers()
    ask_without_a_network(answers)
    ask_of_mnist1d(answers)
    for subject in subjects():
        ask_methods(answers, subject)
        ask_views(answers, subject)
        ask_inside(answers, subject)
        ask_metrics(answers, subject)
        ask_evaluation(answers, subject)
    return answers


# ------------------------------------------------------------------------------------------------------- methods


def shown(options):
    """Options as they are written in a call; arrays by their name alone."""
    return ", ".join(f"{key}={value!r}" if np.ndim(value) < 2 else key for key, value in options.items())


GAMES = [
    {"game": "preservation", "reference": "noise", "steps": 4, "jitter": 0, "score": "logit", "seed": 2},
    {"reference": "constant", "grid": 3, "steps": 4, "variation_power": 2.0, "area_weight": 0.2},
]
RULES = [
    *({"rule": rule} for rule in ("z_plus", "gamma", "alpha_beta", "flat", "w_square", "epsilon_plus")),
    {"rule": "alpha_beta", "bias": "whole"},
    {"bias": "none", "epsilon": 0.1},
]


def variants(subject):
    """{method: options other than the defaults}, each asked for class 1."""
    layer, probability, native = {"layer": subject.layer}, {"score": "probability"}, {"upsample": False}
    baselines = ("mean", "blur", 0.25, ["zero", "mean"], subject.inputs[::-1])
    return {
        "saliency": [probability, {"batch_size": 2}],
        "gradient_x_input": [probability],
        "smooth_grad": [{"samples": 5, "noise": 0.05, "seed": 3}, {"samples": 2} | probability],
        "var_grad": [{"samples": 5, "noise": 0.05, "seed": 3}],
        "guided_backprop": [probability],
        "deconvnet": [probability],
        "integrated_gradients": [
            *({"baseline": baseline, "steps": 3} for baseline in baselines),
            {"rule": "gauss-legendre", "steps": 4},
            {"tolerance": 0.2, "max_steps": 18},
            {"steps": 3} | probability,
        ],
        "lrp": RULES,
        "deep_lift": [*({"baseline": baseline} for baseline in baselines), probability],
        "expected_gradients": [{"background": subject.inputs[::-1], "samples": 5}, {"background": "uniform"}],
        "cam": [native],
        "grad_cam": [{"relu": False} | native, probability, layer],
        "grad_cam_plus_plus": [native, layer],
        "score_cam": [{"weights": "softmax"} | native, {"fill": "mean"}],
        "ablation_cam": [{"relu": False} | native, probability],
        "layer_cam": [layer, native],
        "hires_cam": [{"relu": True} | native, layer],
        "guided_grad_cam": [probability, layer],
        "occlusion": [
            {"fill": "blur", "patch": 4, "stride": 3},
            {"fill": "mean"} | probability,
            {"fill": 0.2, "probability_map": True},
        ],
        "rise": [{"masks": 30, "grid": 3, "p": 0.3, "fill": "mean", "seed": 2, "score": "logit"}],
        "sise": [{"threshold": 0.3, "fill": "blur"}, {"layers": subject.layer}],
        "lime": [
            {"samples": 50, "segments": 6, "fill": "segment", "seed": 2},
            {"samples": 50, "segments": 8, "fill": "blur", "kernel_width": 0.5, "alpha": 0.1, "score": "logit"},
        ],
        "kernel_shap": [{"samples": 50, "segments": 6, "fill": "segment"}, {"segments": 8, "score": "logit"}],
        "meaningful_perturbation": GAMES,
    }


def ask_methods(answers, subject: Subject):
    name, model, inputs = subject.name, subject.model, subject.inputs
    for score in ("logit", "probability"):
        answers.ask(f"{name}: scores({score})", xu.scores, model, inputs, score=score)
    others = variants(subject)
    for method in xu.METHODS:
        function, defaults = getattr(xu, method), FEW.get(method, {}) if subject.large else {}
        found = answers.ask(f"{name}: {method}({shown(defaults)})", function, model, inputs, **defaults)
        if not isinstance(found, str):
            answers.ask(f"{name}: relevance of {method}", xu.relevance, method, found)
        for options in others.get(method, []):
            answers.ask(f"{name}: {method}(1, {shown(options)})", function, model, inputs, 1, **options)


def ask_views(answers, subject: Subject):
    name, model, inputs = subject.name, subject.model, subject.inputs
    logits, unit = xu.logits(model), xu.unit(model, subject.layer, 1)
    for label, view in {"logits": logits, "unit": unit}.items():
        answers.keep(f"{name}: {label}", np.asarray(view(inputs)))
    answers.ask(f"{name}: saliency of logits", xu.saliency, logits, inputs)
    for method in xu.METHODS:
        options = FEW.get(method, {}) | OF_UNIT.get(method, {})
        answers.ask(f"{name}: {method} of unit", getattr(xu, method), unit, inputs, **options)
    for rule in ("guided", "deconvnet"):

        def through(method, rule=rule):
            return method(xu.with_relu_rule(model, rule), inputs)

        answers.ask(f"{name}: outputs, {rule}", through, lambda view, inputs: np.asarray(view(inputs)))
        answers.ask(f"{name}: gradient_x_input, {rule}", through, xu.gradient_x_input)


def ask_inside(answers, subject: Subject):
    name, model, layer = subject.name, subject.model, subject.layer
    answers.ask(f"{name}: kernels", xu.kernels, model, layer)
    answers.ask(f"{name}: activations", xu.activations, model, subject.inputs)
    answers.ask(f"{name}: activations({layer})", xu.activations, model, subject.inputs, layer)
    for options in ({}, {"blur": 0.5, "jitter": 1, "clip": False, "seed": 2, "step": 0.5}):
        label = f"{name}: activation_maximization({shown(options)})"
        answers.ask(label, xu.activation_maximization, model, layer, [0, 2], iterations=5, **options)
    for options in ({}, {"decay": 0.1, "blur": 0.5, "jitter": 2}):
        answers.ask(f"{name}: class_model({shown(options)})", xu.class_model, model, [0, 1], iterations=5, **options)
    answers.ask(f"{name}: deep_dream", xu.deep_dream, model, subject.inputs, layer, iterations=2)


# ------------------------------------------------------------------------------------------------------- metrics


def ask_metrics(answers, subject: Subject):
    name, model, inputs, masks = subject.name, subject.model, subject.inputs, subject.masks
    one, other = xu.gradient_x_input(model, inputs), xu.occlusion(model, inputs)
    ranked = xu.relevance("gradient_x_input", one)
    for metric in (xu.evidence_mass, xu.pointing_game, xu.rank_accuracy, xu.average_precision):
        answers.ask(f"{name}: {metric.__name__}", metric, ranked, masks)
    for metric in (xu.rank_correlation, xu.similarity):
        answers.ask(f"{name}: {metric.__name__}", metric, one.sum(axis=-1), other)
    full = xu.scores(model, inputs, 1)
    for reduce, options in ((xu.keep_top, {"fraction": 0.3, "fill": 0.1}), (xu.soft_mask, {"fill": 0.1})):
        part = answers.ask(f"{name}: {reduce.__name__}", reduce, inputs, ranked, **options)
        kept = xu.scores(model, part, 1)
        for metric in (xu.average_drop, xu.average_increase):
            answers.ask(f"{name}: {metric.__name__} of {reduce.__name__}", metric, full, kept)
    for curve in (xu.deletion_curve, xu.insertion_curve):
        for options in ({"steps": 9}, {"steps": 5, "fill": 0.2, "score": "logit"}):
            label = f"{name}: {curve.__name__}({shown(options)})"
            heights = answers.ask(label, curve, model, inputs, ranked, **options)
            answers.ask(f"{label} area", xu.area_under_curve, heights)
    for options in ({"steps": 6, "draws": 2, "seed": 3}, {"steps": 5, "fill": 0.2, "order": "least", "score": "logit"}):
        label = f"{name}: region_perturbation({shown(options)})"
        heights = answers.ask(label, xu.region_perturbation, model, inputs, ranked, **options)
        answers.ask(f"{label} area", xu.aopc, heights)
    ask_robustness(answers, subject, {"gradient_x_input": one, "occlusion": other})


def ask_robustness(answers, subject: Subject, maps):
    name, model, inputs = subject.name, subject.model, subject.inputs
    for method, attribution in maps.items():
        answers.ask(f"{name}: infidelity of {method}", xu.infidelity, model, inputs, attribution, samples=12)
        before = [xu.scores(model, points, 1, score="logit") for points in (inputs, np.zeros_like(inputs))]
        answers.ask(f"{name}: completeness_gap of {method}", xu.completeness_gap, attribution, *before)
    for method, options in {"saliency": {"samples": 3}, "grad_cam": {"samples": 2, "radius": 0.1, "seed": 3}}.items():
        function = getattr(xu, method)
        answers.ask(f"{name}: max_sensitivity of {method}", xu.max_sensitivity, function, model, inputs, **options)
        answers.ask(f"{name}: randomisation of {method}", xu.randomisation, function, model, inputs, 1, seed=3)
    shuffled = {f"{place} {layer}": copy.get_weights()[-1] for place, (layer, copy) in enumerate(xu.randomised(model))}
    answers.keep(f"{name}: randomised", shuffled)


def ask_evaluation(answers, subject: Subject):
    """All methods under all metrics, once with a folder that is read again; the text of a reason is no answer."""
    few = slice(1 if subject.large else 2)
    metrics = (*xu.METRICS, "forwards", "backwards")
    arguments = subject.inputs[few], None, tuple(xu.METHODS), metrics, subject.masks[few]
    with tempfile.TemporaryDirectory() as folder:
        for label in ("evaluate", "evaluate again"):
            frame = xu.evaluate(subject.model, *arguments, options=FEW, steps=4, samples=2, seed=5, folder=folder)
            answers.keep(f"{subject.name}: {label}", frame.assign(reason=frame["reason"] != ""))
    answers.ask(f"{subject.name}: summarise", xu.summarise, frame, 200, against="random")
    for one, other in (("deletion", "insertion"), ("evidence_mass", "pointing_game")):
        answers.ask(f"{subject.name}: rank_agreement of {one}", xu.rank_agreement, frame, one, other, 200)


# ------------------------------------------------------------------------------ data, networks on disk, catalogues


def ask_without_a_network(answers):
    answers.keep("METHODS", tuple(xu.METHODS))
    answers.keep("METRICS", tuple(xu.METRICS))
    answers.keep("methods_table", xu.methods_table())
    for counts in ((0, 1), (7, 9), (950, 1000)):
        answers.ask(f"wilson_interval{counts}", lambda pair: np.array(xu.wilson_interval(*pair)), counts)
    faces, photographs = xu.load_faces(), xu.load_photos(64)
    answers.keep("load_faces", faces)
    answers.keep("load_photos", photographs)
    for phantom in (xu.schematic_faces, xu.tissue_phantom):
        answers.keep(phantom.__name__, phantom(4, 3))
        answers.keep(f"{phantom.__name__}, confounded", phantom(2, 3, labels=[1, 2], confounded=0.5))
    images = {
        "faces": faces.images[:2],
        "photographs": photographs.images[:4],
        "signals": np.zeros((2, 40, 1), "float32"),
    }
    for name, inputs in images.items():
        answers.ask(f"superpixels of {name}", xu.superpixels, inputs)
        answers.ask(f"superpixels of {name}, 12", xu.superpixels, inputs, 12)
    segments = xu.superpixels(faces.images[:1], 20)[0]
    answers.ask("pros_and_cons", xu.pros_and_cons, faces.images[0, ..., 0] - 0.5, segments, 4)
    for path in sorted(MODELS.glob("*.json")):
        answers.keep(f"read_card({path.name})", {key: str(value) for key, value in xu.read_card(path).items()})


def ask_of_mnist1d(answers):
    answers.keep("templates", m1.templates())
    answers.keep("make_dataset", m1.make_dataset(3, count=50, correlated_noise=0.1, white_noise=0.3, shear=0.2))
    data = m1.make_dataset()
    answers.keep("make_dataset, published", data)
    answers.keep("evidence_masks", m1.evidence_masks(data, 0.3))
    published = m1.load_pickle(MODELS.parent / "data" / "MNIST1D.pkl")
    answers.keep("load_pickle", published)
    with tempfile.TemporaryDirectory() as folder:
        m1.write_pickle(Path(folder) / "data.pkl", published)
        answers.keep("write_pickle", np.frombuffer((Path(folder) / "data.pkl").read_bytes(), np.uint8))
    signals, _ = m1.split(data, "validation")
    answers.keep("augment", m1.augment(signals[:20], np.random.default_rng(4)))
    for head in ("flatten", "gap"):
        model = m1.network(head, seed=1)
        answers.keep(f"train {head}", m1.train(model, data, epochs=2, seed=3, progress=False))
        answers.keep(f"trained {head}", {weight.path: weight.numpy() for weight in model.weights})
        with tempfile.TemporaryDirectory() as folder:
            card = xu.read_card(MODELS / ("mnist1d.json" if head == "flatten" else "mnist1d_gap.json"))
            xu.save_model(model, Path(folder) / "model.keras", card)
            again = xu.load_model(Path(folder) / "model.keras")
            answers.ask(f"scores of {head}, saved and loaded", xu.scores, again, signals[:50])
