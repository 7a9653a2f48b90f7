"""Captioned worlds: pictures with ten sentences each, of which every word can be checked.

In the phantoms the class fixes the picture up to its nuisances, so a sentence made from the class alone would be true
without a look. Here the class c only makes attributes likely: each is drawn from a committed table p(value | c), and
the tables of the classes overlap. What a set of attributes tells of the class is therefore known exactly,

    p(c | a_1, ..., a_m) = p(c) prod_i p(a_i | c) / sum_c' p(c') prod_i p(a_i | c'),   p(c) = 1 / K.

Nuisances are drawn without looking at the class. Item i is made from numpy's SeedSequence(seed, spawn_key=(i, stream)),
as in `heatproof.data.phantoms`: equal calls give equal bits, and item i is the same whether 10 or 1000 are made.
"""

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import ModuleType
from typing import NamedTuple

import numpy as np

from heatproof import checks
from heatproof.data import captions_faces, captions_tissue
from heatproof.data.captions_grammar import Claim
from heatproof.data.phantoms import deal_labels, draw_code, generator
from heatproof.problems import ArgumentTypeError, ArgumentValueError

SENTENCES = 10
_WORLDS = {"faces": captions_faces, "tissue": captions_tissue}
_SEEDS = {"train": 101, "validation": 102, "test": 103}
_COUNTS = {
    "faces": {"train": 2000, "validation": 500, "test": 500}, "tissue": {"train": 1000, "validation": 250, "test": 250},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Captioned:
    """N pictures with what is true of them, and ten sentences each; all arrays are read-only.

    images:         (N, H, W, C) float32 in [0, 1]
    labels:         (N,) int64, index into class_names
    attributes:     (N,) structured array of int64, one field per attribute: an index into `values[name]`
    nuisances:      (N,) the same of the nuisances; in a confounded set "artefact", the class that it names, is one
    masks:          {attribute: (N, H, W) bool}, the pixels that may show it
    sentences:      N lists of ten sentences
    class_names:    (K,) of text
    table:          {attribute: (K, values) float64}, p(value | class)
    values:         {attribute or nuisance: its values as text}
    artefact_masks: (N, H, W) bool, the pixels of the artefact (all False in a set that is not confounded)
    world, part, confounded, artefact_words: what `load_captioned` was asked for
    """

    images: np.ndarray
    labels: np.ndarray
    attributes: np.ndarray
    nuisances: np.ndarray
    masks: dict[str, np.ndarray]
    sentences: list[list[str]]
    class_names: tuple[str, ...]
    table: dict[str, np.ndarray]
    values: dict[str, tuple[str, ...]]
    artefact_masks: np.ndarray
    world: str
    part: str
    confounded: float | None
    artefact_words: bool

    def __post_init__(self) -> None:
        arrays = [getattr(self, field.name) for field in fields(self)]
        for array in (*arrays, *self.masks.values(), *self.table.values()):
            if isinstance(array, np.ndarray):
                array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)

    def truth(self, item: int) -> dict[str, str]:
        """{attribute or nuisance: its value in this picture}."""
        found = dict[str, str]()
        for row in (self.attributes[item], self.nuisances[item]):
            found |= {name: self.values[name][int(row[name])] for name in row.dtype.names or ()}
        return found

    def claims(self, sentence: str) -> tuple[Claim, ...]:
        """(attribute or nuisance, value) of all that a sentence claims; what the grammar cannot say claims nothing."""
        return _WORLDS[self.world].GRAMMAR.claims(sentence)

    def posterior(self, named: Mapping[str, str | int]) -> np.ndarray:
        """p(class | the attributes named), (K,) float64; of no attribute the prior, 1 / K.

        named: {attribute: its value, as text or as an index}. Raises `TypeError`, `ValueError` for an unknown one.
        """
        if not isinstance(named, Mapping):
            raise ArgumentTypeError("named", checks.shown(named), "a dictionary {attribute: value}")
        likelihood = np.ones(len(self.class_names))
        for name, value in named.items():
            if name not in self.table:
                raise ArgumentValueError("named", f"the attribute {name!r}", f"one of {', '.join(self.table)}")
            likelihood = likelihood * self.table[name][:, self._place(name, value)]
        return likelihood / likelihood.sum()

    def _place(self, name, value):
        values = self.values[name]
        if isinstance(value, str):
            return values.index(checks.one_of(f"named[{name!r}]", value, values))
        return checks.as_count(f"named[{name!r}]", value, 0, len(values) - 1)

    def bayes_rate(self) -> float:
        """The accuracy of the best answer that attributes allow: sum over all of them of max_c p(c) p(a | c)."""
        each = [self.table[name].T for name in self.table]
        joint = (functools.reduce(np.multiply, rows) for rows in itertools.product(*each))
        return float(sum(row.max() for row in joint) / len(self.class_names))


def load_captioned(
    world: str = "faces",
    part: str = "train",
    *,
    count: int | None = None,
    confounded: float | None = None,
    artefact_words: bool = False,
) -> Captioned:
    """Draw captioned pictures: schematic faces (48x48, grey, seven classes) or tissue tiles (96x96, colour, six).

    Ten sentences of a picture say two or three true things each, of its attributes and of its nuisances, with
    changing words and in changing order.

    world:          "faces": brows, eyes, mouth; or "tissue": structure, number and size of the nuclei, colour
    part:           "train", "validation" or "test": other pictures of the same kind
    count:          how many; None takes all: 2000, 500, 500 faces or 1000, 250, 250 tiles
    confounded:     None, or the probability that an artefact (a digit, an ink spot) names the true class; otherwise it
                    names one of the others
    artefact_words: whether sentences may mention the artefact; without, they have no word for it
    raises:         TypeError or ValueError that names the argument
    """
    checks.one_of("world", world, tuple(_WORLDS))
    checks.one_of("part", part, tuple(_SEEDS))
    count = _COUNTS[world][part] if count is None else checks.as_count("count", count)
    if confounded is not None:
        confounded = checks.as_number("confounded", confounded, 0, 1)
    if checks.as_flag("artefact_words", artefact_words) and confounded is None:
        cure = "give confounded, such as confounded=1.0, or leave artefact_words False"
        raise ArgumentValueError("artefact_words", "True for pictures without an artefact", "False", cure)
    kind, seed = _WORLDS[world], _SEEDS[part]
    labels = deal_labels(kind, count, seed)
    drawn = [_item(kind, seed, item, int(label), confounded, artefact_words) for item, label in enumerate(labels)]
    values = kind.ATTRIBUTES | kind.NUISANCES | ({} if confounded is None else {"artefact": kind.ARTEFACTS})
    return Captioned(
        np.stack([each.image for each in drawn]),
        labels,
        _structured([each.attributes for each in drawn], values),
        _structured([each.nuisances for each in drawn], values),
        {name: np.stack([each.masks[name] for each in drawn]) for name in kind.ATTRIBUTES},
        [each.sentences for each in drawn],
        kind.CLASS_NAMES,
        {name: table.copy() for name, table in kind.TABLE.items()},
        values,
        np.stack([each.hidden for each in drawn]),
        world,
        part,
        confounded,
        bool(artefact_words),
    )


class Counterfactuals(NamedTuple):
    """The pictures of a captioned set with one attribute changed each, all else as it was.

    images: (N, H, W, C) float32; attribute, old, new: N texts, which was changed, from what, to what.
    """

    images: np.ndarray
    attribute: list[str]
    old: list[str]
    new: list[str]


def counterfactuals(captioned: Captioned, seed: int = 0, *, attribute: str | None = None) -> Counterfactuals:
    """Draw every picture of a captioned set again with another value of one attribute.

    attribute: its name, None draws one for each picture; the new value is drawn from all others alike. Raises
    `TypeError`, `ValueError` that names the argument.
    """
    if not isinstance(captioned, Captioned):
        raise ArgumentTypeError("captioned", type(captioned).__name__, "what xu.load_captioned returns")
    seed, kind = checks.as_count("seed", seed, 0), _WORLDS[captioned.world]
    names = (
        tuple(captioned.table)
        if attribute is None
        else (checks.one_of("attribute", attribute, tuple(captioned.table)),)
    )
    images, chosen = [], list[tuple[str, str, str]]()
    for item, label in enumerate(captioned.labels):
        random = np.random.default_rng([seed, item])
        name = names[int(random.integers(len(names)))]
        old = captioned.truth(item)[name]
        others = [value for value in captioned.values[name] if value != old]
        new = others[int(random.integers(len(others)))]
        made = _item(kind, _SEEDS[captioned.part], item, int(label), captioned.confounded, False, {name: new})
        images.append(made.image)
        chosen.append((name, old, new))
    return Counterfactuals(np.stack(images), *map(list, zip(*chosen, strict=True)))


class _Item(NamedTuple):
    image: np.ndarray
    masks: dict[str, np.ndarray]
    hidden: np.ndarray
    attributes: dict[str, str]
    nuisances: dict[str, str]
    sentences: list[str]


def _item(
    kind: ModuleType,
    seed: int,
    item: int,
    label: int,
    confounded: float | None,
    artefact_words: bool,
    changed: Mapping[str, str] | None = None,
) -> _Item:
    """One picture with its sentences; `changed` are attributes that are not as they were drawn."""
    stream = functools.partial(generator, seed, item)
    random = stream("attributes")
    attributes = {
        name: values[int(random.choice(len(values), p=kind.TABLE[name][label]))]
        for name, values in kind.ATTRIBUTES.items()
    } | dict(changed or {})
    nuisances = {name: values[int(random.integers(len(values)))] for name, values in kind.NUISANCES.items()}
    image, masks, drawn = kind.draw(attributes, nuisances, stream)
    hidden = np.zeros(image.shape[:2], bool)
    told = attributes | nuisances
    if confounded is not None:
        code = draw_code(stream("artefact"), label, len(kind.CLASS_NAMES), confounded)
        image, hidden = kind.add_artefact(image, code, drawn)
        nuisances["artefact"] = kind.ARTEFACTS[code]
        told = attributes | nuisances if artefact_words else told
    random = stream("sentences")
    sentences = [kind.GRAMMAR.write(told, random) for _ in range(SENTENCES)]
    return _Item(image.astype(np.float32), masks, hidden, attributes, nuisances, sentences)


def _structured(rows, values):
    """{name: value} of each item as one structured array of indices."""
    names = list(rows[0])
    found = np.empty(len(rows), [(name, np.int64) for name in names])
    for name in names:
        found[name] = [values[name].index(row[name]) for row in rows]
    return found
