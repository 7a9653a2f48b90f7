"""What speed rests on, without a clock: passes through the network, graphs built, memory, what an import brings in."""

import collections
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import processes
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

import models
import xai_utils as xu
from heatproof import enlarging
from heatproof.engine import arrays, programs, randomness
from heatproof.engine.counting import counting
from heatproof.engine.query import Query

N, K, SIDES = 3, 5, (8, 6)  # inputs, maps of the last layer of `models.cnn`, its positions
RELEVANCE = np.random.default_rng(0).random((4, *SIDES))


def of_relevance(method):
    """A score of an explanation, called as a method."""
    return lambda model, inputs, targets, **options: method(model, inputs, RELEVANCE[: len(inputs)], targets, **options)


# Method, its options, and the passes of N inputs with given targets: (forwards, backwards). A backward pass needs a
# forward pass, which is counted with the forwards.
PASSES = {
    "saliency": (xu.saliency, {}, (N, N)),
    "gradient_x_input": (xu.gradient_x_input, {}, (N, N)),
    "smooth_grad": (xu.smooth_grad, {"samples": 7}, (7 * N, 7 * N)),
    "var_grad": (xu.var_grad, {"samples": 7}, (7 * N, 7 * N)),
    "guided_backprop": (xu.guided_backprop, {}, (N, N)),
    "deconvnet": (xu.deconvnet, {}, (N, N)),
    "integrated_gradients": (xu.integrated_gradients, {"steps": 9}, (9 * N, 9 * N)),
    "integrated_gradients, refined": (
        xu.integrated_gradients,
        {"tolerance": 1e-9, "max_steps": 54},  # 6 midpoints, then 18 and 54 of which a third are known; the two ends
        (54 * N + 2 * N, 54 * N),
    ),
    "expected_gradients": (xu.expected_gradients, {"samples": 7}, (7 * N, 7 * N)),
    "lrp": (xu.lrp, {}, (N, N)),
    "grad_cam": (xu.grad_cam, {}, (N, N)),
    "grad_cam_plus_plus": (xu.grad_cam_plus_plus, {}, (N, N)),
    "layer_cam": (xu.layer_cam, {}, (N, N)),
    "hires_cam": (xu.hires_cam, {}, (N, N)),
    "guided_grad_cam": (xu.guided_grad_cam, {}, (2 * N, 2 * N)),
    "score_cam": (xu.score_cam, {}, (N + K * N, 0)),
    "ablation_cam": (xu.ablation_cam, {}, (N, 0)),  # what follows the layer is no pass
    "occlusion": (xu.occlusion, {"patch": 4, "stride": 2}, (3 * 2 * N + N, 0)),
    "rise": (xu.rise, {"masks": 11}, (11 * N + N, 0)),
    "lime": (xu.lime, {"samples": 11, "segments": np.arange(48).reshape(SIDES) // 6}, (11 * N, 0)),
    "kernel_shap": (xu.kernel_shap, {"samples": 27, "segments": np.arange(48).reshape(SIDES) // 6}, (27 * N, 0)),
    "meaningful_perturbation": (
        xu.meaningful_perturbation,
        {"steps": 7, "game": "preservation"},
        (7 * N + 3 * N, 7 * N),  # the loss at the start, before the last tenth of the steps, and at the end
    ),
    "kernel_shap, all": (xu.kernel_shap, {"segments": np.arange(48).reshape(SIDES) // 6}, (2**8 * N, 0)),
    "deletion_curve": (of_relevance(xu.deletion_curve), {"steps": 6}, (7 * N, 0)),
    "insertion_curve": (of_relevance(xu.insertion_curve), {"steps": 6}, (7 * N, 0)),
    "region_perturbation": (of_relevance(xu.region_perturbation), {"steps": 6, "draws": 3}, (3 * 6 * N + N, 0)),
    "infidelity": (of_relevance(xu.infidelity), {"samples": 6}, (6 * N + N, 0)),
    "scores": (xu.scores, {}, (N, 0)),
}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    model = models.cnn()
    model.get_layer("conv_2").bias.assign(np.full(K, 4.0))  # no map is constant, or Score-CAM would pass it over
    model.input_range = (-6.0, 6.0)
    return model, models.examples(model, 4)


@pytest.mark.filterwarnings("ignore::heatproof.checks.XAIWarning")
@pytest.mark.parametrize("name", PASSES)
def test_a_method_takes_the_passes_of_its_formula_and_no_more(network, name):
    method, options, wanted = PASSES[name]
    model, inputs = network
    with counting() as passes:
        method(model, inputs[:N], [2, 0, 1], **options)
    assert (passes["forwards"], passes["backwards"]) == wanted


@pytest.mark.filterwarnings("ignore::heatproof.checks.XAIWarning")
@pytest.mark.parametrize("name", PASSES)
def test_graphs_are_built_once_for_any_number_of_inputs_any_target_and_any_size_of_chunk(network, name, monkeypatch):
    method, options, _ = PASSES[name]
    model, inputs = network
    method(model, inputs[:N], [2, 0, 1], **options)
    built, compiled = [], programs.compiled_once

    def counted(*arguments):
        built.append(arguments)
        return compiled(*arguments)

    monkeypatch.setattr(programs, "compiled_once", counted)
    other = {key: value - 1 for key, value in options.items() if isinstance(value, int)}
    method(model, inputs, 1, **options | other, batch_size=5)
    method(model, inputs[:1], [0], **options, batch_size=1)
    assert not built


def test_the_count_of_graphs_sees_a_new_one():
    """Another score is another graph, of a network that nothing else has asked (a mask asks it for probabilities)."""
    model = models.cnn()
    inputs = models.examples(model, 4)
    xu.saliency(model, inputs, 0)
    known = len(programs._PROGRAMS[model])
    xu.saliency(model, inputs, 0, score="probability")
    assert len(programs._PROGRAMS[model]) == known + 1


# --- machinery --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_aligned_array_is_read_where_it_lies(dtype):
    array = arrays.aligned((4, 3, 5), dtype)
    array[...] = np.arange(60).reshape(4, 3, 5)
    tensor = arrays.shared(array[:3])
    array[2, 2, 4] = -7  # a copy would not see it
    assert tf.is_tensor(tensor) and tensor.dtype == dtype
    np.testing.assert_array_equal(tensor, array[:3])


def test_other_floats_are_copied_and_what_holds_no_floats_is_passed_on():
    """Not at a multiple of 64 bytes, not in one piece, not to be written: a tensor that no later change reaches."""
    array = arrays.aligned((8, 16), "float32")
    for other in (array.ravel()[1:], array[:, :3], array.T, np.broadcast_to(array, (2, 8, 16))):
        array[...] = np.arange(128).reshape(8, 16)
        wanted, tensor = other.copy(), arrays.shared(other)
        array[...] = -7
        assert tf.is_tensor(tensor)
        np.testing.assert_array_equal(tensor, wanted)
    array.flags.writeable = False
    np.testing.assert_array_equal(arrays.shared(array), array)
    for other in (array.view("int32"), array[:0], tf.constant([1.0])):
        assert arrays.shared(other) is other


def test_chunks_in_one_buffer_do_not_run_into_each_other(network):
    """Every point of every chunk reaches the network as it was made, the shorter last chunk too."""
    model, inputs = network
    asked = Query(model, inputs, 1, batch_size=3)
    point = lambda item, sample, out: np.multiply(inputs[item], (sample + 1) / 2, out=out)  # noqa: E731
    found = {(item, sample): value for item, sample, value in asked.perturbed(range(5), point)}
    assert len(found) == 20
    for (item, sample), value in found.items():
        wanted = xu.scores(model, point(item, sample, np.empty_like(inputs[item]))[None], 1, score="logit")[0]
        assert value == pytest.approx(wanted, abs=1e-5)


def test_maps_are_enlarged_by_the_chunk_as_one_by_one():
    maps = np.random.default_rng(0).random((70, 3, 2), np.float32)
    found = enlarging.enlarged(maps, (7, 9, 2))
    for number in (0, 31, 32, 69, 5):
        wanted = enlarging.resize(maps[[number]], (7, 9))[0]
        np.testing.assert_array_equal(found(number), np.stack([wanted, wanted], axis=-1))


@pytest.mark.parametrize("centres", [None, ((-1.5, 3.25), (4, 1.5)), ((8, -2), (0, 1))])
def test_two_neighbours_give_what_the_matrix_gives(centres, monkeypatch):
    for grid, shape in (((5, 1), (17, 9)), ((1, 6), (8, 40)), ((40,), (13,)), ((1,), (7,))):
        maps, own = np.random.default_rng(0).random((4, *grid), np.float32), centres and centres[: len(grid)]
        wanted = enlarging.resize(maps, shape, own), enlarging.enlarged(maps, (*shape, 3), own)(2)
        with monkeypatch.context() as patched:
            patched.setattr(enlarging, "DENSE", 0)
            found = enlarging.resize(maps, shape, own), enlarging.enlarged(maps, (*shape, 3), own)(2)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-7)


def test_no_matrix_is_made_for_a_long_axis(monkeypatch):
    monkeypatch.setattr(enlarging, "interpolation", lambda *given: pytest.fail("a matrix"))
    maps = np.arange(2000, dtype=np.float32)[None]
    np.testing.assert_allclose(enlarging.resize(maps, (8000,))[0], np.clip((np.arange(8000) - 1.5) / 4, 0, 1999))


def test_large_maps_are_enlarged_few_at_a_time(monkeypatch):
    """As many as may be kept, at least one; the same as all at once."""
    maps, sizes, plain = np.random.default_rng(0).random((9, 3, 2), np.float32), [], enlarging._resized
    wanted = [enlarging.enlarged(maps, (7, 9, 2))(number) for number in range(9)]
    monkeypatch.setattr(enlarging, "_resized", lambda part, *axes: sizes.append(len(part)) or plain(part, *axes))
    for kept, size in ((4 * 4 * 7 * 9 * 2, 4), (1, 1)):
        sizes.clear()
        monkeypatch.setattr(enlarging, "KEPT", kept)
        found = enlarging.enlarged(maps, (7, 9, 2))
        for number in range(9):
            np.testing.assert_array_equal(found(number), wanted[number])
        assert max(sizes) == size


@pytest.mark.parametrize("left, right", [((70, 30), (30, 90)), ((5, 70, 30), (30, 90)), ((70, 30), (5, 30, 90))])
def test_products_in_pieces_are_whole_products(left, right, monkeypatch):
    """Pieces of seven rows, the last one shorter."""
    monkeypatch.setattr(enlarging, "PIECE", 7 * 30 * 90)
    left, right = np.random.default_rng(0).random(left), np.random.default_rng(1).random(right, np.float32)
    found = enlarging.product(left, right)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, left @ right, rtol=1e-12)
    assert enlarging.product(left.astype(np.float32), right).dtype == np.float32


# --- memory -----------------------------------------------------------------------------------------------------

BOUND = 24  # MiB that the peak may rise: about half of what the smallest of these cases takes when one kind is kept


def peak():
    """The largest resident memory that this process ever had, in MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def peaks(method, filters, calls):
    """The peak of this process after each call of a method on a network of one layer, beyond inputs and maps."""
    inputs = keras.Input((96, 96, 3))
    x = keras.layers.Conv2D(filters, 4, strides=4, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    X = np.random.default_rng(0).random((max(count for count, _ in calls), 96, 96, 3), np.float32)
    found = []
    for count, options in calls:
        maps = getattr(xu, method)(model, X[:count], 1, **options)
        found.append(peak() - maps.nbytes / 2**20)
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    "method, filters, small, large",
    [
        # Kept whole: 3500 masks of 96 x 96, 496 gradients of two inputs, noise of as many samples, 60 x 24 x 24 x 256.
        # Tried with each of these kept, and with the points: the peaks rise by 44 to 420 MiB, by 7 at most without.
        ("rise", 4, (1, {"masks": 500}), (1, {"masks": 4000})),
        ("integrated_gradients", 4, (2, {"steps": 16}), (2, {"steps": 512})),
        ("smooth_grad", 4, (2, {"samples": 16}), (2, {"samples": 512})),
        ("grad_cam", 256, (4, {"batch_size": 4}), (64, {"batch_size": 4})),
        ("saliency", 4, (64, {}), (512, {})),  # 47 MiB: a copy of the inputs, or of the maps
    ],
)
def test_peak_memory_does_not_grow_with_masks_steps_samples_and_inputs(method, filters, small, large):
    """The second call sets the mark, the third may not rise above it: the first builds the graph."""
    _, before, after = processes.ask(peaks, method, filters, [small, small, large])
    assert after - before < BOUND


# --- import -----------------------------------------------------------------------------------------------------

LAZY = (
    "sklearn.linear_model",
    "sklearn.metrics",
    "skimage.segmentation",
    "skimage.metrics",
    "skimage.transform",
    "pooch",
)


def test_the_import_leaves_out_what_only_some_calls_need():
    """What TensorFlow and Keras bring by themselves does not count."""
    brought = processes.ask(processes.brought_by, "xai_utils")
    assert "heatproof.methods.masks" in brought
    assert not brought & set(LAZY)


# --- reading a graph: once ------------------------------------------------------------------------------------------


class Body:
    """A function of a graph definition that counts how often its nodes are read."""

    def __init__(self, definition, reads):
        self.signature, self._nodes, self._reads = definition.signature, definition.node_def, reads

    @property
    def node_def(self):
        self._reads[self.signature.name] += 1
        return self._nodes


@pytest.fixture
def read(monkeypatch):
    """How often graphs were written out, and how often the nodes of each function in them were read."""
    written, reads, original = [], collections.Counter(), FuncGraph.as_graph_def

    def as_graph_def(graph, *arguments, **options):
        written.append(graph)
        functions = original(graph, *arguments, **options).library.function
        return SimpleNamespace(library=SimpleNamespace(function=[Body(each, reads) for each in functions]))

    monkeypatch.setattr(FuncGraph, "as_graph_def", as_graph_def)
    return SimpleNamespace(written=written, bodies=reads)


def graph_of(step, times):
    """A graph in which the output of `step` goes through `step` again, and that output."""
    found = []

    def repeated(x):
        for _ in range(times):
            x = step(x)
        found.append(x)
        return x

    graph = tf.function(repeated).get_concrete_function(tf.TensorSpec((None, 2))).graph
    return graph, found[0]


@tf.function
def looped(x):
    """A function that runs a loop, to be run in many places."""
    return tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, y + tf.random.normal((1,))), (0, x))[1]


STEPS = {
    "plain": lambda count: lambda x: tf.nn.relu(x) + 1,
    "a function": lambda count: looped,
    "a branch": lambda count: lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: looped(x), lambda: x),
    "a count": lambda count: lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x + count.assign_add(1.0), lambda: x),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_graph_is_written_out_once_and_each_function_in_it_is_read_once(step, read):
    """For every operation anew, the first question about a network of 4600 operations took a minute."""
    count = tf.Variable(0.0)
    graph, output = graph_of(STEPS[step](count), 12)
    for ask in (lambda: randomness.untamed(SimpleNamespace(calls=[], logits=output, values=output)),
                lambda: randomness.written(graph)):  # fmt: skip
        read.written.clear()
        read.bodies.clear()
        ask()
        assert len(read.written) <= (step != "plain") and set(read.bodies.values()) <= {1}
    assert len(randomness.written(graph)) == (step == "a count")
    drawn = randomness.untamed(SimpleNamespace(calls=[], logits=output, values=output))
    assert len(drawn) == (12 if step in ("a function", "a branch") else 0)
