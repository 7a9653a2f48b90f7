"""Files of Keras 2: every kind gives, to the bit, the weights that Keras 2 has, and the outputs that it computes.

The files were written by Keras 2.15 and 2.12 (tests/fixtures/keras2/make.py), their answers computed there.
"""

import functools
import json
import shutil
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import xai_utils as xu
from heatproof.networks import legacy_layers, legacy_operations

FIXTURES = Path(__file__).parent / "fixtures" / "keras2"
FIRST, LAST = "tensorflow_2.12.1", "tensorflow_2.15.1"


def contents(name):
    with zipfile.ZipFile(FIXTURES / f"{name}.zip") as archive:
        return [(name, member) for member in archive.namelist() if member.endswith((".h5", ".keras"))]


class Gate(layers.Layer):
    """scale x^power: the class that make.py stored by its name alone."""

    def __init__(self, power=1.0, **options):
        super().__init__(**options)
        self.power = power

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(shape[-1],))

    def call(self, x):
        return self.scale * x**self.power

    def get_config(self):
        return super().get_config() | {"power": self.power}


def bent(x):
    return ops.relu(x) + 0.1 * x


OWN = {"Gate": Gate, "bent": bent}


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The folder of what Keras 2 wrote: one folder per version."""
    folder = tmp_path_factory.mktemp("keras2")
    for name in (FIRST, LAST):
        with zipfile.ZipFile(FIXTURES / f"{name}.zip") as archive:
            archive.extractall(folder / name)
    return folder


@functools.cache
def answers(folder):
    with np.load(folder / LAST / "answers.npz") as stored:
        return {key: stored[key] for key in stored.files}


def answer(folder, kind, role):
    """Keras 2's arrays of one kind: "input", "output" or "weight"."""
    start = f"{kind}/{role}/"
    return {key.removeprefix(start): array for key, array in answers(folder).items() if key.startswith(start)}


def leaves(model):
    for layer in model.layers:
        yield from leaves(layer) if isinstance(layer, keras.Model) else [layer]


def called(model, arrays):
    outputs = model(arrays if len(arrays) > 1 else arrays[0], training=False)
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]


def agrees(model, folder, kind):
    """Whether a model has the weights of Keras 2 to the bit, each in its layer, and computes the same."""
    own = {layer.name: [each for each in layer.weights if "int" not in each.dtype] for layer in leaves(model)}
    own = {f"{name}/{number}": np.asarray(each) for name in own for number, each in enumerate(own[name])}
    expected = {name.replace("conv1/conv", "conv1_conv"): each for name, each in answer(folder, kind, "weight").items()}
    assert own.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(own[name], array, err_msg=name, strict=True)
    outputs = called(model, list(answer(folder, kind, "input").values()))
    for one, other in zip(outputs, answer(folder, kind, "output").values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)


GRAPHS = [each for each in contents(FIRST) + contents(LAST) if each[1] != "subclassed.keras"]


@pytest.mark.parametrize("version, member", GRAPHS)
def test_weights_and_outputs_are_those_of_keras_2(version, member, written):
    path = written / version / member
    agrees(xu.load_model(path, custom_objects=OWN), written, path.stem)


def test_hdf5_that_is_named_keras_is_read(written, tmp_path):
    path = shutil.copy(written / LAST / "depthwise.h5", tmp_path / "depthwise.keras")
    agrees(xu.load_model(path), written, "depthwise")


@pytest.mark.parametrize("kind", ["recurrent", "operators", "activations", "nested"])
def test_what_was_read_can_be_saved_by_keras_3_and_read_again(kind, written, tmp_path):
    xu.load_model(written / LAST / f"{kind}.h5").save(tmp_path / "new.keras")
    agrees(xu.load_model(tmp_path / "new.keras"), written, kind)


def test_operations_keep_the_names_of_their_layers(written):
    model = xu.load_model(written / LAST / "operators.h5")
    names = {operation.name for operation in model.operations}
    assert {"tf.math.truediv", "tf.nn.relu6", "tf.__operators__.add_4", "tf.compat.v1.pad", "tf.split"} <= names


def test_a_read_network_is_explained(written):
    """The gradient of the logit against a tape of its own on the same network."""
    model = xu.load_model(written / LAST / "depthwise.h5")
    x = answer(written, "depthwise", "input")["0"]
    logits = keras.Model(model.inputs, model.layers[-1].input)
    with tf.GradientTape() as tape:
        tape.watch(watched := tf.constant(x))
        score = logits(watched, training=False)[:, 1]
    np.testing.assert_allclose(xu.saliency(model, x, 1), tape.gradient(score, watched), rtol=1e-5, atol=1e-7)


def test_the_hard_sigmoid_is_that_of_keras_2():
    x = np.array([-3, -2.5, -1, 0, 1, 2.5, 3], dtype="float32")
    expected = [0, 0, 0.3, 0.5, 0.7, 1, 1]
    np.testing.assert_allclose(legacy_layers.hard_sigmoid(x), expected, atol=1e-7)
    assert abs(float(keras.activations.hard_sigmoid(x)[2]) - 0.3) > 0.03, "Keras 3 does the same: the table is wrong"


def test_hdf5_of_keras_3_keeps_what_a_normalization_learned(tmp_path):
    """Keras 3 reads the numbers of that layer from HDF5 and goes on computing with zeros and ones."""
    normalization = layers.Normalization()
    normalization.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    keras.Sequential([keras.Input((2,)), normalization]).save(tmp_path / "new.h5")
    np.testing.assert_allclose(xu.load_model(tmp_path / "new.h5")(np.array([[3.0, 0.0]])), [[1.0, -2.0]], rtol=1e-6)


# ----------------------------------------------------------------------- the plain functions, against TensorFlow

X = np.random.default_rng(1).normal(0, 2, (2, 3, 4, 5)).astype("float32")
POSITIVE, TRUTH = np.abs(X) + 0.1, X > 0
FLAT = X.reshape(6, 20)
PAIR = {"y": np.random.default_rng(2).normal(0, 2, (5,)).astype("float32").tolist()}
ALONE = "abs ceil cos erf exp floor negative reciprocal round sigmoid sign sin softplus square tanh".split()
NEURAL = "elu gelu leaky_relu log_softmax relu relu6 selu silu softmax softsign".split()
BOTH = "add subtract multiply truediv divide maximum minimum greater greater_equal less less_equal".split()
BOTH += ["divide_no_nan", "floormod"]
REDUCTIONS = ("mean", "sum", "max", "min", "prod", "std", "variance", "logsumexp")
CASES = [
    *((f"math.{name}", X, {}) for name in ALONE),
    *((f"math.{name}", POSITIVE, {"name": None}) for name in ("log", "log1p", "rsqrt", "sqrt")),
    *((f"nn.{name}", X, {}) for name in NEURAL),
    *((f"math.{name}", X, PAIR | {"name": None}) for name in BOTH),
    *((f"math.reduce_{name}", X, {"axis": [1, 2], "keepdims": True}) for name in REDUCTIONS),
    *((f"math.reduce_{name}", X, {"axis": -1}) for name in REDUCTIONS),
    *((f"math.reduce_{name}", TRUTH, {"axis": 1, "keepdims": False}) for name in ("any", "all")),
    *((f"math.logical_{name}", TRUTH, {"y": [True, False, True, False, True]}) for name in ("and", "or")),
    ("math.logical_not", TRUTH, {}),
    ("__operators__.add", X, PAIR),
    ("compat.v1.floor_div", X, {"y": 0.7}),
    ("math.pow", POSITIVE, {"y": 1.5}),
    ("math.divide_no_nan", X, {"y": 0.0}),
    ("math.argmax", X, {"axis": -1}),
    ("math.l2_normalize", X, {"axis": -1}),
    ("compat.v1.norm", X, {"ord": "euclidean", "axis": -1, "keepdims": None}),
    ("compat.v1.norm", X, {"ord": 1, "axis": 2, "keepdims": True}),
    ("nn.gelu", X, {"approximate": True}),
    ("nn.leaky_relu", X, {"alpha": 0.05}),
    ("nn.softmax", X, {"axis": 1}),
    ("nn.log_softmax", X, {"axis": 2}),
    ("nn.bias_add", X, {"bias": [1.0, 2.0, 3.0, 4.0, 5.0], "data_format": "NHWC"}),
    ("nn.bias_add", X, {"bias": [1.0, 2.0, 3.0], "data_format": "NCHW"}),
    ("linalg.matmul", X, {"b": [[1.0, 2.0]] * 5}),
    ("linalg.matmul", FLAT, {"b": np.eye(20)[:4].tolist(), "transpose_b": True}),
    ("linalg.matmul", FLAT, {"b": np.ones((6, 2)).tolist(), "transpose_a": True}),
    ("tensordot", X, {"b": [[1.0, 2.0]] * 5, "axes": 1}),
    ("where", TRUTH, {"x": 1.5, "y": [0.0, 1.0, 2.0, 3.0, 4.0]}),
    ("cast", X, {"dtype": "int32"}),
    ("clip_by_value", X, {"clip_value_min": -1.0, "clip_value_max": 0.5}),
    ("concat", [X, X], {"axis": 2}),
    ("stack", [X, X], {"axis": 1}),
    ("unstack", X, {"axis": 3}),
    ("split", X, {"num_or_size_splits": 2, "axis": 2}),
    ("split", X, {"num_or_size_splits": [1, 3, 1], "axis": -1}),
    ("tile", X, {"multiples": [1, 2, 1, 3]}),
    ("repeat", X, {"repeats": 2, "axis": 1}),
    ("compat.v1.gather", X, {"indices": [2, 0], "validate_indices": None, "axis": 1, "batch_dims": 0}),
    ("compat.v1.gather", X, {"indices": [1, 1], "axis": None}),
    ("reverse", X, {"axis": [1, 3]}),
    ("expand_dims", X, {"axis": 1}),
    ("compat.v1.squeeze", X[:, :1], {"axis": [1]}),
    ("compat.v1.squeeze", X[:, :1, :1], {}),
    ("compat.v1.transpose", X, {"perm": [0, 3, 1, 2], "conjugate": False}),
    ("compat.v1.transpose", X, {}),
    *(("compat.v1.pad", X, {"paddings": [[0, 0], [1, 2], [2, 0], [0, 0]], "mode": mode}) for mode in
      ("CONSTANT", "REFLECT", "SYMMETRIC")),
    ("compat.v1.pad", X, {"paddings": [[0, 0], [1, 2], [0, 0], [0, 0]], "mode": "CONSTANT", "constant_values": 3.0}),
    ("reshape", X, {"shape": [-1, 20]}),
    ("zeros_like", X, {}),
    ("ones_like", X, {}),
    ("stop_gradient", X, {}),
    ("identity", X, {}),
    ("ensure_shape", X, {"shape": [None, 3, 4, 5]}),
    ("image.flip_left_right", X, {}),
    ("image.rgb_to_grayscale", X[..., :3], {}),
    ("image.resize", X, {"size": [6, 7]}),
    ("image.resize", X, {"size": [2, 3], "method": "nearest"}),
    ("image.resize", X, {"size": [2, 3], "method": "bicubic", "antialias": True}),
]  # fmt: skip
HERE = {"__operators__.add": np.add, "keras.backend.batch_flatten": lambda x: x.reshape(len(x), -1)}
HERE["__operators__.getitem"] = lambda x, slice_spec: x[:, ::-1, 1:3, 2]
SLICES = [{"start": None, "stop": None, "step": step} for step in (None, -1)]
CASES.append(("__operators__.getitem", X, {"slice_spec": [*SLICES, {"start": 1, "stop": 3, "step": None}, 2]}))
CASES.append(("keras.backend.batch_flatten", X, {}))


@pytest.mark.parametrize("symbol, x, options", CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_plain_function_is_that_of_tensorflow(symbol, x, options):
    """Through a model, as it is read from a file, against the function of TensorFlow that bears the name."""
    theirs = HERE.get(symbol) or functools.reduce(getattr, symbol.split("."), tf)
    expected = theirs(x, *options.values()) if symbol == "__operators__.add" else theirs(x, **options)
    inputs = keras.tree.map_structure(lambda array: keras.Input(batch_shape=array.shape, dtype=array.dtype), x)
    outputs = legacy_operations.apply(legacy_operations.PLAIN_OPERATIONS[symbol], "asked", inputs, options)
    found = keras.Model(inputs, outputs)(x)
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=2e-6, atol=1e-6)
        assert one.shape == other.shape


def test_every_plain_function_has_a_case():
    assert {symbol for symbol, _, _ in CASES} == set(legacy_operations.PLAIN_OPERATIONS)


# --------------------------------------------------------------------------------------- refusals and their cures


def changed(path, target, change, group=None):
    """A copy of an HDF5 file whose configuration (and, if asked, content) was changed."""
    path = Path(shutil.copy(path, target))
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)
        if group:
            group(file)
    return path


def refused(path, *words, **options):
    with pytest.raises(ValueError) as caught:
        xu.load_model(path, **options)
    message = str(caught.value)
    assert message.startswith(f"path: got {path}, which ") and "Cure: " in message
    assert [word for word in words if word not in message] == [], message
    return message


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_class_or_function_of_ones_own_is_named_and_can_be_given(suffix, written):
    path = written / LAST / f"custom{suffix}"
    for known, told in (({}, "'bent'"), ({"bent": bent}, "'Gate'")):
        message = refused(path, told, f"custom_objects={{{told}: ...}}", custom_objects=known)
        assert "damaged" not in message and "cut short" not in message
    agrees(xu.load_model(path, custom_objects=OWN), written, "custom")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("told", ["Gate", "bent"])
def test_the_same_in_a_file_of_keras_3(suffix, told, tmp_path):
    inputs = keras.Input((4,))
    step = Gate(2.0) if told == "Gate" else layers.Activation(bent)
    model = keras.Model(inputs, step(inputs))
    model.save(tmp_path / f"new{suffix}")
    message = refused(tmp_path / f"new{suffix}", repr(told), f"custom_objects={{{told!r}: ...}}")
    assert "damaged" not in message and "cut short" not in message
    x = np.array([[-1, 1, 2, 3]], "float32")
    read = xu.load_model(tmp_path / f"new{suffix}", custom_objects={told: OWN[told]})
    np.testing.assert_array_equal(read(x), model(x))


def test_a_function_that_is_not_plain_is_named_and_can_be_given(written, tmp_path):
    def change(steps):
        (step,) = [step for step in steps if step["name"] == "tf.math.negative"]
        step["config"]["function"] = "math.asinh"

    path = changed(written / LAST / "operators.h5", tmp_path / "asinh.h5", change)
    refused(path, "calls tf.math.asinh in the layer 'tf.math.negative'", "custom_objects={'tf.math.asinh': ...}")
    given = xu.load_model(path, custom_objects={"tf.math.asinh": ops.negative})
    agrees(given, written, "operators")


def test_a_plain_function_with_an_unknown_argument_is_told(written, tmp_path):
    def change(steps):
        (step,) = [step for step in steps if step["name"] == "tf.nn.leaky_relu"]
        step["inbound_nodes"][0][3]["beta"] = 2.0

    path = changed(written / LAST / "operators.h5", tmp_path / "beta.h5", change)
    refused(path, "calls tf.nn.leaky_relu", "'beta': 2.0", "custom_objects={'tf.nn.leaky_relu': ...}")
    cure = {"tf.nn.leaky_relu": lambda x, alpha, beta: ops.leaky_relu(x, alpha)}
    agrees(xu.load_model(path, custom_objects=cure), written, "operators")


def test_an_argument_that_keras_3_has_no_more_is_refused_where_it_says_something(written, tmp_path):
    def change(steps):
        (step,) = [step for step in steps if step["config"]["name"] == "lstm"]
        step["config"]["time_major"] = True

    path = changed(written / LAST / "recurrent.h5", tmp_path / "major.h5", change)
    refused(path, "layer 'lstm' of the class LSTM with time_major=True", "custom_objects={'LSTM': ...}")


def test_a_lambda_of_keras_2_is_refused_and_plain_functions_are_not_called_so(written, tmp_path):
    def change(steps):
        steps[2] = steps[2] | {"class_name": "Lambda"}

    path = changed(written / LAST / "operators.h5", tmp_path / "lambda.h5", change)
    refused(path, "holds a Lambda layer", custom_objects={"Lambda": layers.Identity})


def test_classes_that_could_run_or_read_more_are_not_made(written, tmp_path):
    for name in ("TFSMLayer", "TorchModuleWrapper", "StringLookup", "Layer", "Wrapper"):

        def change(steps, name=name):
            steps[1] |= {"class_name": name, "config": {"name": steps[1]["config"]["name"], "filepath": "elsewhere"}}

        path = changed(written / LAST / "depthwise.h5", tmp_path / "other.h5", change)
        refused(path, f"of the class {name}, which", f"custom_objects={{{name!r}: ...}}")


def older_gru(steps):
    """Before TensorFlow 2 a GRU did not say `reset_after`, and did not do it."""
    (step,) = [step for step in steps if step["config"].get("reset_after") is False]
    del step["config"]["reset_after"]


def random_state(file):
    """Keras 2.9 to 2.11 kept the state of a random layer among the weights."""
    group = file["model_weights/random_flip"]
    group.attrs["weight_names"] = [b"random_flip/StateVar:0"]
    group["random_flip/StateVar:0"] = np.arange(3)


def long_list(file):
    """A list of names that is too long for one attribute lies in several, in the order of their numbers."""
    group = file["model_weights/base"]
    names = list(group.attrs.pop("weight_names"))
    for number, name in enumerate(names):
        group.attrs[f"weight_names{number}"] = [name]


@pytest.mark.parametrize(
    "kind, change, more",
    [
        ("recurrent", older_gru, None),
        ("augmentation", lambda steps: None, random_state),
        ("nested", lambda steps: None, long_list),
    ],
    ids=["older_gru", "random_state", "long_list"],
)
def test_what_other_releases_of_keras_2_wrote(kind, change, more, written, tmp_path):
    path = changed(written / LAST / f"{kind}.h5", tmp_path / "other.h5", change, more)
    agrees(xu.load_model(path), written, kind)


def weight_group(file):
    return file["model_weights/stem_layer"] if "stem_layer" in file["model_weights"] else file["model_weights/conv2d"]


def rename(file):
    group = file["model_weights/batch_normalization"]
    names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
    group.attrs["weight_names"] = [names[1], names[0], *names[2:]]


def drop(file):
    del weight_group(file)["conv2d/kernel:0"]


def shorten(file):
    group = weight_group(file)
    group.attrs["weight_names"] = list(group.attrs["weight_names"])[:1]


def reshape(file):
    group = weight_group(file)["conv2d"]
    kernel = group["kernel:0"][()]
    del group["kernel:0"]
    group["kernel:0"] = kernel[..., :1]


def inflate(file):
    group = weight_group(file)["conv2d"]
    del group["kernel:0"]
    group.create_dataset("kernel:0", (100_000, 100_000), np.float32)


def outside(file):
    group = weight_group(file)["conv2d"]
    shape = group["kernel:0"].shape
    del group["kernel:0"]
    group.create_dataset("kernel:0", shape, np.float32, external=[("secret.bin", 0, 1000)])


def link(file):
    group = weight_group(file)["conv2d"]
    del group["kernel:0"]
    group["kernel:0"] = h5py.ExternalLink("secret.h5", "/kernel")


def theano(file):
    file.attrs["backend"] = "theano"


def keras_1(file):
    file.attrs["keras_version"] = "1.2.2"


@pytest.mark.parametrize(
    "spoil, words",
    [
        (rename, "holds an array 'batch_normalization/beta:0' of shape (3,) where the layer 'batch_normalization'"),
        (drop, "holds no 'conv2d/kernel:0' of its own"),
        (shorten, "holds 1 arrays for the layer 'conv2d', which has 2"),
        (reshape, "of shape (3, 3, 2, 1) where the layer 'conv2d' has 'kernel' of shape (3, 3, 2, 3)"),
        (inflate, "does not itself hold the array"),
        (outside, "does not itself hold the array"),
        (link, "holds no 'conv2d/kernel:0' of its own"),
        (theano, "was written on Theano"),
        (keras_1, "was written by Keras 1.2.2. Cure: load it in Keras 2.2 and save it again"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_weights_that_do_not_fit_their_layers_are_refused(spoil, words, written, tmp_path):
    path = changed(written / LAST / "plain.h5", tmp_path / "spoilt.h5", lambda steps: None, spoil)
    assert "damaged" not in refused(path, words)


def spoilt_archive(source, target, spoil):
    """A copy of an archive with its file of weights changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "model.weights.h5":
                path = target.with_suffix(".weights")
                path.write_bytes(content)
                with h5py.File(path, "r+") as file:
                    spoil(file)
                content = path.read_bytes()
            new.writestr(name, content)
    return target


@pytest.mark.parametrize("version", [FIRST, LAST])
@pytest.mark.parametrize("place", ["", "/vars"])
def test_an_archive_that_lacks_weights_is_refused(version, place, written, tmp_path):
    def spoil(file):
        (container,) = [key for key in file if key != "vars"]
        del file[f"{container}/conv2d{place}"]

    refused(spoilt_archive(written / version / "plain.keras", tmp_path / "lacking.keras", spoil), "holds no")


@pytest.mark.parametrize("name", ["plain.h5", "plain.keras"])
@pytest.mark.parametrize("share", [0.3, 0.99])
def test_only_a_damaged_file_is_called_damaged(name, share, written, tmp_path):
    content, path = (written / LAST / name).read_bytes(), tmp_path / name
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "damaged or cut short", "fetch it again")


def test_a_whole_file_under_the_wrong_name_says_how_to_name_it(tmp_path):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    for written_as, named in ((".keras", ".h5"), (".h5", ".keras")):
        model.save(tmp_path / f"right{written_as}")
        path = shutil.copy(tmp_path / f"right{written_as}", tmp_path / f"wrong{named}")
        assert "damaged" not in refused(path, f"rename it to wrong{written_as}")
        again = shutil.copy(path, tmp_path / f"cured{written_as}")
        np.testing.assert_array_equal(xu.load_model(again).get_weights()[0], model.get_weights()[0])


class Own(keras.Model):
    """The model of make.py that is code, not a graph."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Conv2D(2, 3, name="first"), layers.Dense(2, name="second")

    def call(self, x):
        return self.second(ops.mean(self.first(x), axis=(1, 2)))

    @classmethod
    def from_config(cls, config):
        return cls()


@pytest.mark.parametrize("version", [FIRST, LAST])
def test_a_model_that_is_code_says_how_to_get_its_weights(version, written):
    path = written / version / "subclassed.keras"
    refused(path, "the class Own, which", "custom_objects={'Own': ...}")
    told = "build the model in code, call it once, then call model.load_weights(path)"
    refused(path, "does not hold the shape of its inputs", told, custom_objects={"Own": Own})
    model = Own()
    model(answer(written, "subclassed", "input")["0"])
    model.load_weights(path)
    agrees(model, written, "subclassed")


@pytest.mark.parametrize("kind", ["plain", "slices"])
def test_a_class_derived_from_a_graph_is_read_as_the_class_that_is_given(kind, written, tmp_path):
    """Whoever overrode train_step saved the graph under the name of his class: keras.Model reads it."""
    base = keras.Sequential if kind == "plain" else keras.Model
    source, path = written / LAST / f"{kind}.h5", tmp_path / "derived.h5"
    shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(json.loads(file.attrs["model_config"]) | {"class_name": "Trained"})
    refused(path, "of the class Trained, which", "custom_objects={'Trained': ...}")
    for given in (base, type("Trained", (base,), {})):
        agrees(model := xu.load_model(path, custom_objects={"Trained": given}), written, kind)
        assert isinstance(model, given)


@pytest.mark.parametrize("wrong", [["Gate"], {"Gate": 3}, {3: Gate}, "Gate"])
def test_custom_objects_are_names_with_classes_or_functions(wrong, written):
    with pytest.raises(TypeError, match="custom_objects: got .*allowed: a dictionary"):
        xu.load_model(written / LAST / "custom.h5", custom_objects=wrong)
