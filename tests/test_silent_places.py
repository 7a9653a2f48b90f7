"""Where a map lies: at the centres of the layer's receptive fields; and what enlarging takes on long signals.

The centres are worked out here by hand and found again by brute force: which inputs a tape says that a position reads.
"""

import inspect
import resource
import sys
import time

import keras
import numpy as np
import processes
import psutil
import pytest
import tapes
import tensorflow as tf
from keras import layers

import xai_utils as xu
from models import randomised

S1 = tapes.output(1)
CHAINS = {  # layers, input side, centre of position j: first + j * apart
    "same, stride 2, even": ([{"kernel": 3, "strides": 2}], 12, 1, 2),
    "same, stride 2, odd": ([{"kernel": 3, "strides": 2}], 13, 0, 2),
    "four strided": ([{"kernel": 3, "strides": 2}] * 4, 96, 15, 16),
    "valid": ([{"kernel": 5, "padding": "valid"}], 12, 2, 1),
    "valid and strided": ([{"kernel": 3, "strides": 2, "padding": "valid"}] * 3, 31, 7, 8),
    "dilated": ([{"kernel": 3, "padding": "valid", "dilation_rate": 2}], 12, 2, 1),
    "even kernel": ([{"kernel": 2}], 12, 0.5, 1),
    "kernel of one, strided": ([{"kernel": 1, "strides": 2}], 12, 0, 2),
    "pooled": ([{"kernel": 3}, {"pool": 2}, {"kernel": 3}], 12, 0.5, 2),
    "pooled, a rest left over": ([{"pool": 3, "padding": "valid"}, {"kernel": 3}], 14, 1, 3),
    "padded on one side": ([{"pad": (3, 0)}, {"kernel": 3, "strides": 2, "padding": "valid"}], 12, -2, 2),
    "cropped": ([{"crop": (4, 1)}, {"kernel": 3}], 14, 4, 1),
}


def stack(chain, rank, x):
    of_rank = lambda name: getattr(layers, f"{name}{rank}D")  # noqa: E731
    for step in chain:
        step = dict(step)
        sides = next((step[key] for key in ("pad", "crop") if key in step), None)
        sides = sides if rank == 1 else (sides, sides)
        if "kernel" in step:
            x = of_rank("Conv")(3, step.pop("kernel"), activation="tanh", **{"padding": "same", **step})(x)
        elif "pool" in step:
            x = of_rank("AveragePooling")(step.pop("pool"), **step)(x)
        else:
            x = of_rank("ZeroPadding" if "pad" in step else "Cropping")(sides)(x)
    return x


def network(chain, side, rank, build=stack):
    inputs = keras.Input((side,) * rank + (2,))
    x = layers.Activation("linear", name="place")(build(chain, rank, inputs))
    pool = getattr(layers, f"GlobalAveragePooling{rank}D")()
    return randomised(keras.Model(inputs, layers.Dense(3)(pool(x))), 3)


def inputs_of(side, rank, count=2):
    return np.random.default_rng(4).normal(size=(count, *(side,) * rank, 2)).astype(np.float32)


@pytest.mark.parametrize("case", CHAINS)
def test_the_centres_worked_out_by_hand_are_those_of_what_a_tape_says_is_read(case):
    """The middle between the first and the last input that is read, of the positions that read the most: whole."""
    chain, side, first, apart = CHAINS[case]
    twin = tapes.in_float64(network(chain, side, 1))
    place, x = keras.Model(twin.inputs, twin.get_layer("place").output), inputs_of(side, 1, 1)
    parts = range(place.output_shape[1])
    slopes = [tapes.gradient(place, x, lambda A, j=j: tf.reduce_sum(A[:, j], axis=-1))[0] for j in parts]
    read = [np.flatnonzero(slope.any(axis=-1)) for slope in slopes]
    whole = [j for j in parts if len(read[j]) == max(map(len, read))]
    assert [(read[j][0] + read[j][-1]) / 2 for j in whole] == [first + j * apart for j in whole]


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("case", CHAINS)
def test_a_map_is_enlarged_from_the_centres_of_its_receptive_fields(case, rank):
    chain, side, first, apart = CHAINS[case]
    model, x = network(chain, side, rank), inputs_of(side, rank)
    native = tapes.grad_cam(model, "place", x, S1)
    centres = first + apart * np.arange(native.shape[1])
    found = xu.grad_cam(model, x, 1, layer="place", relu=False)
    tapes.close(found, tapes.enlarged(native, [centres] * rank, (side,) * rank))


@pytest.mark.parametrize("case", ["four strided", "valid and strided", "cropped"])
def test_the_plain_stretch_stays_as_an_option(case):
    chain, side, _, _ = CHAINS[case]
    model, x = network(chain, side, 2), inputs_of(side, 2)
    native = tapes.grad_cam(model, "place", x, S1)
    found = xu.grad_cam(model, x, 1, layer="place", relu=False, align="stretch")
    tapes.close(found, tapes.stretched(native, (side, side)))
    bare = xu.grad_cam(model, x, 1, layer="place", relu=False, upsample=False, align="stretch")
    tapes.close(bare, native)
    with pytest.raises(ValueError, match="^align: got 'center'.*'centres'.*'stretch'"):
        xu.grad_cam(model, x, 1, align="center")


def test_align_stands_wherever_a_map_is_enlarged():
    assert {*tapes.accepting("align")} == {*tapes.accepting("upsample"), "guided_grad_cam", "sise"}
    parameters = [inspect.signature(xu.METHODS[name].function).parameters for name in tapes.accepting("align")]
    assert {each["align"].default for each in parameters} == {"centres"}


FAMILY = ["cam", "hires_cam", "ablation_cam", "layer_cam", "grad_cam_plus_plus"]


@pytest.mark.parametrize("name", FAMILY)
def test_every_map_of_the_family_lies_at_the_centres(name):
    chain, side, first, apart = CHAINS["four strided"]

    def build(chain, rank, x):
        return layers.ReLU()(stack(chain, rank, x))

    model, x = network(chain, side, 1, build), inputs_of(side, 1)
    method, options = xu.METHODS[name].function, {} if name == "cam" else {"layer": "place"}
    native = method(model, x, 1, upsample=False, **options)
    wanted = tapes.enlarged(native.astype(float), [first + apart * np.arange(native.shape[1])], (side,))
    tapes.close(method(model, x, 1, **options), wanted)


def test_the_masks_of_score_cam_lie_at_the_centres():
    """w_k = S(x * H_k) with H_k enlarged from the centres; the map itself on the native grid."""
    chain, side, first, apart = CHAINS["valid and strided"]
    model, x = network(chain, side, 1), inputs_of(side, 1)
    A, _ = tapes.at(model, "place", x, S1)
    scaled = (A - A.min(axis=1, keepdims=True)) / np.ptp(A, axis=1, keepdims=True)
    twin, centres = tapes.in_float64(model), [first + apart * np.arange(A.shape[1])]
    S = [twin(x * tapes.enlarged(scaled[..., k], centres, (side,))[..., None]).numpy()[:, 1] for k in range(3)]
    w = np.exp(np.array(S)) / np.exp(S).sum(axis=0)
    found = xu.score_cam(model, x, 1, layer="place", weights="softmax", upsample=False)
    tapes.close(found, np.maximum(np.einsum("ntk,kn->nt", A, w), 0))


@pytest.mark.parametrize("align", ["centres", "stretch"])
def test_guided_grad_cam_takes_grad_cam_from_the_same_place(align):
    """The one ReLU stands before all else and sees positive inputs: guided backprop is the positive gradient."""
    chain, side, first, apart = CHAINS["valid and strided"]
    model = network(chain, side, 1, lambda chain, rank, x: stack(chain, rank, layers.ReLU()(x)))
    x = 0.1 + np.abs(inputs_of(side, 1))
    native = np.maximum(tapes.grad_cam(model, "place", x, tapes.output(0)), 0)
    coarse = tapes.enlarged(native, [first + apart * np.arange(native.shape[1])], (side,))
    coarse = coarse if align == "centres" else tapes.stretched(native, (side,))
    guided = np.maximum(tapes.gradient(tapes.in_float64(model), x, tapes.output(0)), 0)
    found = tapes.heard(xu.guided_grad_cam, model, x, 0, layer="place", align=align)[0]
    tapes.close(found, coarse[..., None] * guided)


@pytest.mark.parametrize("align", ["centres", "stretch"])
def test_the_masks_of_sise_lie_at_the_centres(align):
    """One block of which all maps with a positive mean slope stay: V = sum_k p(x * H_k) H_k, scaled to [0, 1]."""
    chain, side, first, apart = CHAINS["valid and strided"]
    model, x = network(chain, side, 1), inputs_of(side, 1)
    A, slopes = tapes.at(model, "place", x, lambda outputs: tf.nn.softmax(outputs)[:, 1])
    twin, centres = tapes.in_float64(model), [first + apart * np.arange(A.shape[1])]
    wanted = []
    for item, chosen in enumerate(slopes.mean(axis=1) > 0):
        coarse = A[item][:, chosen].T
        fine = tapes.enlarged(coarse, [centres[0]], (side,)) if align == "centres" else tapes.stretched(coarse, (side,))
        H = (fine - fine.min(axis=1, keepdims=True)) / np.ptp(fine, axis=1, keepdims=True)
        p = tf.nn.softmax(twin(x[item] * H[..., None])).numpy()[:, 1]
        wanted.append(p @ H)
    wanted = np.array(wanted)
    wanted -= wanted.min(axis=1, keepdims=True)
    found = xu.sise(model, x, 1, layers=["place"], fill=0.0, activation="softmax", align=align)
    tapes.close(found, wanted / wanted.max(axis=1, keepdims=True))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("at", [21, 37, 48, 66])
def test_a_blob_has_its_peak_within_half_a_cell(padding, at):
    """Four strided means of a blob on 96 x 96 pixels, of cells of 16: the nearest pixel of the peak along each axis.

    Beyond the outer centres the outer value stays: a peak there is a plateau that reaches to the border.
    """
    inputs = x = keras.Input((96, 96, 1))
    for _ in range(4):
        x = layers.Conv2D(1, 3, strides=2, padding=padding, use_bias=False, kernel_initializer="ones")(x)
    pooled = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(1, use_bias=False, kernel_initializer="ones")(pooled))
    rows, columns = np.indices((96, 96))
    blob = np.exp(-((rows - at) ** 2 + (columns - 96 + at) ** 2) / (2 * 8**2))[None, ..., None].astype(np.float32)
    found = tapes.heard(xu.grad_cam, model, blob, 1)[0][0]
    peak = np.argwhere(found >= 0.999 * found.max())
    assert np.abs(peak - (at, 96 - at)).max(axis=1).min() <= 8


# --- long signals -----------------------------------------------------------------------------------------------------

LENGTH, LIMIT, ROOM = 39_000, 300 * 10**6, 6 * 2**30  # samples of an ECG; bytes; what the process may take at all


def ecg_network():
    inputs = keras.Input((LENGTH, 1))
    x = layers.Conv1D(8, 7, padding="same", activation="relu", name="whole")(inputs)
    for number in range(4):
        x = layers.Conv1D(8, 7, strides=4, padding="same", activation="relu", name=f"block_{number}")(x)
    return randomised(keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x))), 1)


def measured(name, options):
    """Peak above what was in use just before the call, inputs excluded, in bytes; seconds; the map."""
    model, signal = ecg_network(), np.random.default_rng(0).normal(size=(1, LENGTH, 1)).astype(np.float32)
    model(signal)
    resource.setrlimit(resource.RLIMIT_DATA, (ROOM, resource.RLIM_INFINITY))  # no harm to the machine
    before = psutil.Process().memory_info().rss
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark begins anew
    start = time.perf_counter()
    found = getattr(xu, name)(model, signal, 1, **options)
    seconds = time.perf_counter() - start
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    start = time.perf_counter()
    if name == "grad_cam":
        getattr(xu, name)(model, signal, 1, **options)
        seconds = min(seconds, time.perf_counter() - start)
    return peak - before, seconds, found


CALLS = [("grad_cam", {}), ("grad_cam", {"layer": "whole"}), ("score_cam", {}), ("sise", {})]


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("name, options", CALLS)
def test_memory_on_an_ecg_is_linear_in_its_length(name, options):
    peak, seconds, found = processes.ask(measured, name, options)
    assert found.shape == (1, LENGTH)
    assert peak < LIMIT
    assert name != "grad_cam" or seconds < 2


def test_the_map_of_a_long_signal_is_interpolated_from_its_centres():
    """Strides of 4 in "same": 39,000 samples leave 9750, whose first field of 7 begins one sample early."""
    model, signal = ecg_network(), np.random.default_rng(0).normal(size=(1, LENGTH, 1)).astype(np.float32)
    native = xu.grad_cam(model, signal, 1, layer="block_0", relu=False, upsample=False).astype(float)
    wanted = tapes.enlarged(native, [-1 + 3 + 4 * np.arange(9750)], (LENGTH,))
    tapes.close(xu.grad_cam(model, signal, 1, layer="block_0", relu=False), wanted)
