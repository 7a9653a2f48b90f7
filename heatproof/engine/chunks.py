"""Answers in batches: a chunk of examples goes through the network at a time, whatever their number."""

import itertools

import numpy as np

from heatproof.engine.arrays import aligned
from heatproof.engine.counting import FORWARD, count
from heatproof.problems import ArgumentValueError
from heatproof.progress import progress


def batched(function, *arrays, size, passes=FORWARD):
    """Run `function` on chunks of `size` along the first axis, join its answers, count the passes."""
    examples, joined = len(arrays[0]), list[np.ndarray]()
    count(passes, examples)
    for start in range(0, examples, size):
        part = slice(start, start + size)
        values = function(*(array[part] for array in arrays))
        values = [finite(value) for value in (values if isinstance(values, (tuple, list)) else [values])]
        if examples <= size:
            joined = values
            break
        joined = joined or [np.empty((examples, *value.shape[1:]), value.dtype) for value in values]
        for whole, value in zip(joined, values, strict=True):
            whole[part] = value
        del values, value  # before the next chunk takes its memory
    return joined if len(joined) > 1 else joined[0]


def pairs(function, samples, items, point, like, size, label):
    """Yield (item, sample, answer) for every pair, at what point(item, sample, out) writes into the array `out`.

    function(points, items) answers a chunk of `size` points, each in the shape and type of one of `like`. Samples come
    in their order, each for all items in turn; one chunk of points is in memory at a time.
    """
    number = len(samples) * len(items)
    waiting = ((item, sample) for sample in samples for item in items)
    points = aligned((min(size, number), *like.shape[1:]), like.dtype)
    for _ in progress(range(0, number, size), None, label):
        part = list(itertools.islice(waiting, size))
        for (item, sample), out in zip(part, points, strict=False):
            point(item, sample, out)
        values = function(points[: len(part)], [item for item, _ in part])
        for (item, sample), value in zip(part, values, strict=True):
            yield item, sample, value


def finite(values):
    """The values as an array, refused where one is not finite."""
    values = np.asarray(values)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(values.sum()) or np.isfinite(values).all()  # a finite sum has finite parts
    if not finite:
        given = "one that gave NaN or infinity for finite inputs"
        raise ArgumentValueError("model", given, cure="look at its weights, or at float16 overflow")
    return values
