"""The weights of a file that Keras 2 wrote, put where Keras 3 keeps them: by layer, each array named or numbered.

HDF5 holds, for each outer layer, its trainable arrays and then the others, those of inner layers among them; a zip
archive holds them by class and number of the layers, one inside the other. Nothing outside the file is read.
"""

import io
import re
import zipfile
from dataclasses import dataclass

import h5py
import keras

_RENAMED = {("depthwise_kernel", "kernel")}


class UnreadableError(ValueError):
    """A file that is whole and cannot be read: ``given`` says what it has or lacks, ``cure`` what helps."""

    def __init__(self, given: str, cure: str = "fetch it again, or save it again in Keras 2") -> None:
        super().__init__(given)
        self.given, self.cure = given, cure


@dataclass(frozen=True)
class Stored:
    """A layer, and the part of the configuration that it was made from."""

    layer: keras.layers.Layer
    part: dict

    @property
    def group(self) -> str:
        """What the archive calls it, without a number: its class in small letters, as in `conv2d_transpose`."""
        name = re.sub(r"\W", "", self.part["class_name"].rpartition(">")[2])
        return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


@dataclass(frozen=True)
class Inside:
    """The parts of a model in the order of its configuration, and whether it was to be trained."""

    parts: list
    trainable: bool


def fill(model, inside, path):
    """Give a model the weights of its file; every weight gets one array, and every array is used.

    Raises ``UnreadableError`` where weights and configuration disagree and ``OSError`` for a damaged file.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            content = archive.read("model.weights.h5")
        with h5py.File(io.BytesIO(content)) as file:
            count = _numbered(model, inside, file, len(content), set())
    else:
        with h5py.File(path) as file:
            count = _named(model, inside, file, path.stat().st_size)
    if count != len(model.weights):
        raise UnreadableError(f"holds {count} arrays of weights where its layers have {len(model.weights)}")


# ------------------------------------------------------------------------------------------------------------ HDF5


def _named(model, inside, file, limit):
    """Fill the layers from HDF5; the number of weights that were filled."""
    groups, filled = _member(file, "model_weights"), set()
    if _text(file.attrs.get("backend", "")) == "theano":
        raise UnreadableError(
            "was written on Theano, which turns kernels round", "save it again from Keras 2.2 on TensorFlow"
        )
    for stored in inside[id(model)].parts:
        name = stored.part["config"]["name"] if isinstance(stored.part["config"], dict) else stored.part.get("name")
        group = _member(groups, name)
        names = [each for each in _names(group) if not each.rpartition("/")[2].startswith("StateVar")]
        weights = [weight for kept in _in_order(stored.layer, inside) for weight in kept]
        weights = list({id(weight): weight for weight in weights}.values())
        if len(names) != len(weights):
            raise UnreadableError(f"holds {len(names)} arrays for the layer {name!r}, which has {len(weights)}")
        for each, weight in zip(names, weights, strict=True):
            _assign(weight, each, _array(_member(group, each), limit), stored.layer)
        filled |= set(map(id, weights))
    finish(model)
    return len(filled)


def _names(group):
    """The names of a layer's arrays in order; a long list lies in several attributes."""
    keys = (
        ["weight_names"]
        if "weight_names" in group.attrs
        else sorted(
            (key for key in group.attrs if re.fullmatch(r"weight_names\d+", key)), key=lambda key: int(key[12:])
        )
    )
    names = [name for key in keys for name in group.attrs[key]]
    return [_text(name) for name in names]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _in_order(layer, inside):
    """The weights of a layer in the order of Keras 2: those that are trained, and the others."""
    if id(layer) not in inside:
        if id(getattr(layer, "layer", None)) in inside:  # a model in a wrapper
            return _in_order(layer.layer, inside)
        return (layer.trainable_weights, layer.non_trainable_weights)
    pairs = [_in_order(stored.layer, inside) for stored in inside[id(layer)].parts]
    trained, others = ([weight for pair in pairs for weight in pair[side]] for side in (0, 1))
    return (trained, others) if inside[id(layer)].trainable else ([], trained + others)


def _assign(weight, name, array, layer):
    """Set one weight; in a layer of Keras its name must agree, whatever its shape."""
    last = name.rpartition("/")[2].partition(":")[0]
    own = not type(layer).__module__.startswith("keras.")
    if array.shape != tuple(weight.shape) or not (own or last == weight.name or (last, weight.name) in _RENAMED):
        raise UnreadableError(
            f"holds an array {name!r} of shape {array.shape} where the layer {layer.name!r} has {weight.name!r} of "
            f"shape {tuple(weight.shape)}"
        )
    weight.assign(array)


def finish(layer):
    """Let each Normalization layer take up its weights: it computes with numbers made from them, HDF5 or not."""
    if isinstance(layer, keras.layers.Normalization) and layer.built and layer.input_mean is None:
        layer.finalize_state()
    for inner in [*getattr(layer, "layers", []), getattr(layer, "layer", None)]:
        if inner is not None:
            finish(inner)


# --------------------------------------------------------------------------------------------------------- archive


def _numbered(layer, inside, group, limit, seen):
    """Fill a layer and those inside it from an archive; the number of arrays that were used."""
    seen.add(id(layer))
    if id(layer) in inside:
        parts = [stored for stored in inside[id(layer)].parts if id(stored.layer) not in seen]
        key = "layers" if "layers" in group else "_layer_checkpoint_dependencies"
        pairs = _matched(parts, _member(group, key))
        return sum(_numbered(inner, inside, stored, limit, seen) for inner, stored in pairs if id(inner) not in seen)
    values = {key: _array(_member(_member(group, "vars"), key), limit) for key in _member(group, "vars")}
    if values:
        layer.load_own_variables(values)
    count = len(values)
    for key in group:
        inner = vars(layer).get(key)
        if isinstance(inner, keras.layers.Layer) and id(inner) not in seen:
            count += _numbered(inner, inside, _member(group, key), limit, seen)
        elif isinstance(inner, (list, tuple)):
            stored = [Stored(each, {"class_name": type(each).__name__}) for each in inner]
            pairs = _matched(stored, _member(group, key))
            count += sum(_numbered(each, inside, part, limit, seen) for each, part in pairs)
    return count


def _matched(parts, groups):
    """Each layer with its group: those of one class are numbered in order, in Keras 2.12 with gaps."""
    waiting: dict[str, list[str]] = {}
    for name in sorted(groups, key=lambda name: [0, *map(int, re.findall(r"_(\d+)$", name))][-1]):
        waiting.setdefault(re.sub(r"_\d+$", "", name), []).append(name)
    for stored in parts:
        if not waiting.get(stored.group):
            raise UnreadableError(f"holds no weights of the layer {stored.layer.name!r}")
        yield stored.layer, _member(groups, waiting[stored.group].pop(0))


# ------------------------------------------------------------------------------------------------- what HDF5 holds


def _member(group, path):
    """What lies in a group under a name; a link to somewhere else is not followed."""
    for name in path.split("/"):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise UnreadableError(f"holds no {path!r} of its own in {group.name!r}")
        group = group[name]
    return group


def _array(dataset, limit):
    """An array whose numbers lie in the file itself, all of them."""
    if dataset.external or dataset.is_virtual or dataset.nbytes > limit:
        raise UnreadableError(f"does not itself hold the array {dataset.name!r}")
    return dataset[()]
