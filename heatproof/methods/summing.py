"""A map of several layers at once: the sum of their maps."""

import functools

from heatproof.problems import ArgumentValueError


def over_layers(method):
    """The same method, where `layer` may be a list: the sum of the maps of its layers, each enlarged for itself."""

    @functools.wraps(method)
    def summed(model, inputs, targets=None, *, layer=None, **options):
        if not isinstance(layer, (list, tuple)):
            return method(model, inputs, targets, layer=layer, **options)
        if not layer:
            raise ArgumentValueError("layer", "an empty list", "one layer or more, or None")
        maps = [method(model, inputs, targets, layer=one, **options) for one in layer]
        if len({each.shape for each in maps}) > 1:
            given = f"layers of different grids, {[each.shape[1:] for each in maps]}, with upsample=False"
            raise ArgumentValueError("layer", given, cure="upsample=True")
        return sum(maps)

    return summed
