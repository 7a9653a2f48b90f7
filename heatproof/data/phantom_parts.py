"""The parts of phantoms as concepts: of a drawn face its brows, eyes and mouth, of a drawn tissue its nuclei."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from heatproof.data import phantom_faces, phantom_tissue
from heatproof.data.concepts import Concepts
from heatproof.data.phantoms import Phantom, generator, schematic_faces, tissue_phantom


def face_parts(
    count: int,
    seed: int = 0,
    *,
    labels: Sequence[int] | None = None,
    fixed: Mapping[str, float] | None = None,
    confounded: float | None = None,
) -> Concepts:
    """The faces of `schematic_faces` with their parts marked: brow, eye, mouth, nose, glasses, hair.

    A pixel is a part's where its paint is the last that may reach it. Category "part"; with `confounded` also
    "artefact", the plate of the watermark. Parts that no face of the set has are left out. The arguments are those of
    `schematic_faces`; so are the errors.
    """
    phantom = schematic_faces(count, seed, labels=labels, fixed=fixed, confounded=confounded)
    return _concepts(phantom, [phantom_faces.parts(int(label), row) for label, row in _items(phantom)], "watermark")


def tissue_parts(
    count: int,
    seed: int = 0,
    *,
    labels: Sequence[int] | None = None,
    fixed: Mapping[str, float] | None = None,
    confounded: float | None = None,
) -> Concepts:
    """The tiles of `tissue_phantom` with their structures marked: nucleus, gland, lumen (within a gland), fat cell.

    Category "part"; with `confounded` also "artefact", the ink stain. Structures that no tile of the set has are left
    out. The arguments are those of `tissue_phantom`; so are the errors.
    """
    phantom, found = tissue_phantom(count, seed, labels=labels, fixed=fixed, confounded=confounded), []
    for item, (label, row) in enumerate(_items(phantom)):
        generators = functools.partial(_generators, seed, item)
        found.append(phantom_tissue.parts(int(label), row, generators))
    return _concepts(phantom, found, "ink")


def _items(phantom: Phantom):
    """(label, {nuisance: value}) of each item."""
    names = phantom.nuisances.dtype.names or ()
    return [
        (label, dict(zip(names, row.tolist(), strict=True)))
        for label, row in zip(phantom.labels, phantom.nuisances, strict=True)
    ]


def _generators(seed, item):
    return [generator(seed, item, stream) for stream in ("background", "evidence")]


def _concepts(phantom, found, artefact):
    masks = {"part": {name: np.stack([each[name] for each in found]) for name in found[0]}}
    hidden = phantom.artefact_masks
    masks["part"] = {name: mask & ~hidden for name, mask in masks["part"].items() if (mask & ~hidden).any()}
    if hidden.any():
        masks["artefact"] = {artefact: hidden}
    return Concepts(phantom.images, masks)
