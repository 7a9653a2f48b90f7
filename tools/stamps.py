"""The stamp of a table: the code that it was made by."""

from functools import cache

DATA = {"mnist1d": "mnist1d", "schematic_faces": "phantoms", "tissue_phantom": "phantoms", "hmt": "hmt"}


@cache
def code(network: str, methods: tuple, rooms: tuple = ()) -> str:
    """The digest of all sources that a table is made by, `rooms` of the metrics too, and of the libraries' versions."""
    from heatproof.methods.catalogue import METHODS
    from heatproof.metrics.digest import closure_of, sources

    names = [METHODS[method].function.__module__ for method in methods]
    names += [f"heatproof.data.{DATA[network]}", "heatproof.networks.cards"]
    names += [f"heatproof.metrics.{room}" for room in ("shards", "cases", "catalogue", *rooms)]
    return sources({module: path for each in names for module, path in closure_of(each).items()})
