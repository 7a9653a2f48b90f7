"""What the maps of layers share at their end: how they are enlarged, several layers added up, maps of zeros told."""

import functools

import numpy as np

from heatproof import checks
from heatproof.enlarging import resize
from heatproof.problems import ArgumentValueError

CENTRES, STRETCH = "centres", "stretch"  # the words of `align`


def over_layers(method):
    """The same method, where `layer` may be a list: the sum of the maps of its layers, each enlarged for itself."""

    @functools.wraps(method)
    def summed(model, inputs, targets=None, *, layer=None, **options):
        if not isinstance(layer, (list, tuple)):
            return method(model, inputs, targets, layer=layer, **options)
        return _sum_over(layer, functools.partial(method, model, inputs, targets, **options))

    return summed


def _sum_over(layers, maps_of):
    if not layers:
        raise ArgumentValueError("layer", "an empty list", "one layer or more, or None")
    maps = [maps_of(layer=one) for one in layers]
    if len({each.shape for each in maps}) > 1:
        given = f"layers of different grids, {[each.shape[1:] for each in maps]}, with upsample=False"
        raise ArgumentValueError("layer", given, cure="upsample=True")
    return sum(maps)


def finished(maps, place, upsample, align):
    """float32 maps at input resolution unless `upsample` is False; an all-zero map is not passed over in silence."""
    zero = ~maps.reshape(len(maps), -1).any(axis=1)
    if zero.any():
        checks.warn(
            f"map: all zero for {zero.sum()} of {len(maps)} inputs (first: {np.flatnonzero(zero)[0]}): nothing at this "
            f"layer pushes that score up. Cure: relu=False for the signed map, another layer, or the predicted class."
        )
    if not upsample:
        return maps.astype(np.float32)
    return resize(place.in_order(maps), place.query.inputs.shape[1:-1], centres_of(place, align))


def as_enlarging(upsample, align):
    return checks.as_flag("upsample", upsample), as_align(align)


def as_align(align):
    return checks.one_of("align", align, (CENTRES, STRETCH))


def centres_of(place, align):
    """Where the positions of the maps lie in the input; None for the plain stretch."""
    return place.centres() if align == CENTRES else None
