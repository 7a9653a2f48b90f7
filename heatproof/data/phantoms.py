"""Phantoms: generated images whose evidence is known.

A phantom is what medical imaging calls a made object with a known answer. Real data shows what a heatmap
looks like; only a phantom shows whether it is right. Each item carries a mask of the pixels that define its
class; everything else in the picture (the nuisances) is drawn without looking at the class:

    image = render(class, nuisance, evidence noise),   nuisance independent of class.

So two items that differ in the class alone differ inside the union of their two masks, and nowhere else.

With `confounded` an artefact lies beside the evidence and names a class: the true one, as a source tag once named
the horses of a photo collection (Lapuschkin et al., Nat. Commun. 10:1096, 2019), or any. A network that was trained
where it names the true class may read the artefact; items where it names another class show whether it does. The
artefact is stamped on the finished picture: without `confounded` the same seed gives the same item, clean.

Item i is made from numpy's SeedSequence(seed, spawn_key=(i, stream)): equal seed, equal bits, and item i is
the same whether 10 or 10 000 items are made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import ModuleType

import numpy as np

from heatproof.checks import as_array, as_count, as_number, one_of, shown
from heatproof.data import artefacts, phantom_faces, phantom_tissue
from heatproof.problems import ArgumentTypeError, ArgumentValueError

_STREAMS = {"nuisance": 0, "background": 1, "evidence": 2, "artefact": 3, "labels": 4, "attributes": 5, "sentences": 6}


@dataclass(frozen=True, eq=False)
class Phantom:
    """N generated images with the answer to the question "where is the evidence?"; all arrays are read-only.

    images:         (N, H, W, C) float32 in [0, 1]
    labels:         (N,) int64, index into class_names
    masks:          (N, H, W) bool, the pixels that define the class
    class_names:    tuple of str
    nuisances:      (N,) structured array, one field per nuisance; `pandas.DataFrame(nuisances)` is its table
    artefact_masks: (N, H, W) bool, the pixels of the confounding artefact (all False without `confounded`)
    artefact_codes: (N,) int64, the class that the artefact stands for (-1 without `confounded`)
    """

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    class_names: tuple[str, ...]
    nuisances: np.ndarray
    artefact_masks: np.ndarray
    artefact_codes: np.ndarray

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)


def schematic_faces(
    count: int,
    seed: int = 0,
    *,
    labels: Sequence[int] | None = None,
    fixed: Mapping[str, float] | None = None,
    confounded: float | None = None,
    artefact: str | None = None,
    artefact_strength: float = 1.0,
    neutral: Sequence[str] = (),
) -> Phantom:
    """Draw `count` grey faces of 48x48 pixels, each with one of the seven expressions of FER2013.

    A face is a stack of layers (signed distance d in pixels, tone v), painted from back to front with the
    anti-aliased coverage a = clip(1/2 - d, 0, 1): image <- image + a (v - image). Brows, eyes and mouth are
    the evidence: their shape is neutral + strength (class - neutral) by a table that follows the action
    units of Ekman and Friesen (Facial Action Coding System, 1978). The mask is every pixel those strokes
    may touch, dilated by one pixel.

    count:      how many items, 1 or more
    seed:       integer, 0 or more
    labels:     (count,) class indices; None deals one of each class to every seven items, in random order
    fixed:      nuisance -> value for all items, the others stay random; names, ranges and meanings are in
                `heatproof.data.phantom_faces.NUISANCES`
    confounded: None, or the probability that a watermark (a digit in the lower right corner) names the true
                class; otherwise it names one of the others at random.  1/7 makes it independent of the class
    artefact:   what names the class: "digit" (None), the watermark; "border", a frame whose tone tells; "blur", of a
                width that tells. Evidence hides a frame; a blur is everywhere, and so is its mask
    artefact_strength: above 0 and at most 1: how far the picture goes from the clean one to the marked one
    neutral:    parts of the expression, of "brow", "eye" and "mouth", that are drawn as a neutral face has them; all
                else in the picture stays as it was, and so does the label; the mask is that of the face as drawn
    returns:    Phantom with images (count, 48, 48, 1)
    raises:     TypeError or ValueError that names the argument
    """
    neutral = _checked_neutral(neutral)
    return _generate(
        phantom_faces, count, seed, labels, fixed, confounded, artefact, artefact_strength, neutral=neutral
    )


def tissue_phantom(
    count: int,
    seed: int = 0,
    *,
    labels: Sequence[int] | None = None,
    fixed: Mapping[str, float] | None = None,
    confounded: float | None = None,
    artefact: str | None = None,
    artefact_strength: float = 1.0,
) -> Phantom:
    """Draw `count` colour tiles of 150x150 pixels that look like the eight tissues of Kather, H&E-stained.

    A tile is neutral tissue with one patch, at a random place and of random outline, that holds the
    structure of its class (nuclei, fibres, glands, fat cells, ...). The amounts of haematoxylin H and eosin
    E give the colour by the law of Beer and Lambert, I = I_0 exp(-(H v_H + E v_E)) (Ruifrok and Johnston,
    Anal. Quant. Cytol. Histol. 23:291, 2001). The class names are those of Kather et al. (Sci. Rep.
    6:27988, 2016), whose tiles are filled by one tissue; here the tissue is local, so that a heatmap can be
    right or wrong.

    The mask is the patch, and its outline does not depend on the class. The evidence of "empty" is the
    hole, the patch where bare glass is seen: this class has a mask like the others, and metrics treat it
    like them.

    count:      how many items, 1 or more
    seed:       integer, 0 or more
    labels:     (count,) class indices; None deals one of each class to every eight items, in random order
    fixed:      nuisance -> value for all items, the others stay random; names, ranges and meanings are in
                `heatproof.data.phantom_tissue.NUISANCES`
    confounded: None, or the probability that the hue of an ink stain (in the corner farthest from the patch)
                names the true class; otherwise it names one of the others at random.  1/8 makes it
                independent of the class
    artefact:   what names the class: "ink" (None), the stain; "border", a frame whose hue tells; "blur", of a width
                that tells; "cast", light of a hue that tells. Evidence hides a frame; a blur and a cast are
                everywhere, and so are their masks
    artefact_strength: above 0 and at most 1: how far the picture goes from the clean one to the marked one
    returns:    Phantom with images (count, 150, 150, 3)
    raises:     TypeError or ValueError that names the argument
    """
    return _generate(phantom_tissue, count, seed, labels, fixed, confounded, artefact, artefact_strength)


def _generate(
    kind: ModuleType,
    count: int,
    seed: int,
    labels: Sequence[int] | None,
    fixed: Mapping[str, float] | None,
    confounded: float | None,
    artefact: str | None,
    strength: float,
    **drawing: tuple[str, ...],
) -> Phantom:
    """Make the items of one kind: a module with CLASS_NAMES, SHAPE, NUISANCES, ARTEFACTS, draw(), add_artefact()."""
    count = as_count("count", count)
    seed = as_count("seed", seed, low=0)
    fixed = _checked_nuisances(kind, {} if fixed is None else fixed)
    labels = deal_labels(kind, count, seed) if labels is None else _checked_labels(kind, count, labels)
    if confounded is not None:
        confounded = as_number("confounded", confounded, 0, 1)
    artefact = _checked_artefact(kind, artefact, confounded)
    strength = as_number("artefact_strength", strength, 0, 1, open_ends="low")

    height, width, _ = kind.SHAPE
    images = np.empty((count, *kind.SHAPE), np.float32)
    masks = np.empty((count, height, width), bool)
    nuisances = np.empty(count, [(name, type(low)) for name, (low, _, _) in kind.NUISANCES.items()])
    artefact_masks = np.zeros_like(masks)
    artefact_codes = np.full(count, -1)
    for i in range(count):
        random = {name: generator(seed, i, name) for name in ("nuisance", "background", "evidence", "artefact")}
        nuisance = draw_nuisances(kind, random["nuisance"]) | fixed
        nuisances[i] = tuple(nuisance[name] for name in kind.NUISANCES)
        images[i], masks[i] = kind.draw(int(labels[i]), nuisance, random["background"], random["evidence"], **drawing)
        if confounded is not None:
            artefact_codes[i] = draw_code(random["artefact"], labels[i], len(kind.CLASS_NAMES), confounded)
            told = (int(artefact_codes[i]), nuisance, masks[i], strength)
            images[i], artefact_masks[i] = artefacts.stamped(kind, artefact, images[i], *told)
    return Phantom(images, labels, masks, kind.CLASS_NAMES, nuisances, artefact_masks, artefact_codes)


def generator(seed: int, item: int, stream: str) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(item, _STREAMS[stream])))


def draw_nuisances(kind: ModuleType, random: np.random.Generator) -> dict[str, float]:
    """Uniform in [low, high]; whole numbers where the table has whole numbers."""
    return {
        name: int(random.integers(low, high + 1)) if isinstance(low, int) else float(random.uniform(low, high))
        for name, (low, high, _) in kind.NUISANCES.items()
    }


def deal_labels(kind: ModuleType, count: int, seed: int) -> np.ndarray:
    """One of each class per block of items, in an order that depends on the seed and the block alone."""
    classes = len(kind.CLASS_NAMES)
    blocks = range(-(-count // classes))
    return np.concatenate([generator(seed, block, "labels").permutation(classes) for block in blocks])[:count]


def draw_code(random: np.random.Generator, label: int, classes: int, agreement: float) -> int:
    """The true class with the probability `agreement`, otherwise one of the others."""
    agrees, other = random.uniform() < agreement, int(random.integers(1, classes))
    return label if agrees else (label + other) % classes


def _checked_artefact(kind: ModuleType, artefact: str | None, confounded: float | None) -> str:
    """The name of the artefact; the first of a kind is its own."""
    name = one_of("artefact", kind.ARTEFACTS[0] if artefact is None else artefact, kind.ARTEFACTS)
    if artefact is not None and confounded is None:
        given = f"{artefact!r} without `confounded`, so that no item would have it"
        raise ArgumentValueError("artefact", given, cure="confounded=1.0, or leave it out")
    return name


def _checked_neutral(neutral: Sequence[str]) -> tuple[str, ...]:
    """The names of parts of an expression."""
    if isinstance(neutral, str) or not isinstance(neutral, Sequence):
        raise ArgumentTypeError("neutral", shown(neutral), "a list of parts, such as ['mouth']")
    return tuple(one_of(f"neutral[{place}]", part, tuple(phantom_faces.MOVING)) for place, part in enumerate(neutral))


def _checked_labels(kind: ModuleType, count: int, labels: Sequence[int]) -> np.ndarray:
    classes = len(kind.CLASS_NAMES)
    given = as_array("labels", labels)
    if given.dtype.kind not in "iu":
        raise ArgumentTypeError("labels", f"{given.dtype} values", f"integers from 0 to {classes - 1}")
    if given.shape != (count,):
        raise ArgumentValueError("labels", f"shape {given.shape}", f"one class index per item, ({count},)")
    if given.min() < 0 or given.max() >= classes:
        allowed = f"integers between 0 and {classes - 1} ({', '.join(kind.CLASS_NAMES)})"
        raise ArgumentValueError("labels", f"integers from {given.min()} to {given.max()}", allowed)
    return given.astype(np.int64)


def _checked_nuisances(kind: ModuleType, fixed: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(fixed, Mapping):
        allowed = "a dictionary that maps names of nuisances to values, such as {'noise': 0.0}"
        raise ArgumentTypeError("fixed", shown(fixed), allowed)
    checked = {}
    for name, value in fixed.items():
        if name not in kind.NUISANCES:
            raise ArgumentValueError("fixed", f"the nuisance {name!r}", f"the known ones, {', '.join(kind.NUISANCES)}")
        low, high, _ = kind.NUISANCES[name]
        check = as_count if isinstance(low, int) else as_number
        checked[name] = check(f"fixed[{name!r}]", value, low, high)
    return checked
