"""Scores of one's own: one class rather than another, a class over a region, any function of the outputs.

`asked(targets, count, head)` gives the ending of the pass, which computes one number for each example, and the arrays
(N, ...) that it is told with the inputs, as the specifications in its `beside` say.
"""

import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from heatproof import batches, checks
from heatproof.engine.arrays import as_float
from heatproof.engine.endings import Logits, before_squashing, chosen
from heatproof.problems import ArgumentValueError, ArgumentWarning

TARGETS = tf.TensorSpec((None,), tf.int32)
_SEEN: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of each model the functions, by their code


@dataclass(frozen=True)
class Contrast:
    """S = z_a - z_b; an ending itself."""

    a: int
    b: int
    head: str | int | None = None
    layer, beside = None, ()

    def asked(self, targets: npt.ArrayLike | None, count: int, head: str | int | None) -> tuple:
        if targets is not None:
            given = "classes, but a contrast names its own two"
            raise ArgumentValueError("targets", given, cure="leave them out")
        return Contrast(self.a, self.b, head), []

    def of(self, run, outputs):
        _, z, values = Logits(self.head).of(run, outputs)
        if max(self.a, self.b) >= z.shape[-1]:
            given = f"a contrast of {self.a} and {self.b}"
            raise ArgumentValueError("score", given, f"classes from 0 to {z.shape[-1] - 1}")
        return "own", (z[:, self.a] - z[:, self.b])[:, None], values


def contrast(a: int, b: int) -> Contrast:
    """Return the score "why a rather than b", for the argument `score` of a method.

    S = z_a - z_b, the difference of two logits; `targets` are left out. Raises `TypeError`, `ValueError` for what is no
    class, or twice the same one. Source: Prabhushankar et al. 2020.
    """
    a, b = checks.as_count("a", a, 0), checks.as_count("b", b, 0)
    if a == b:
        raise ArgumentValueError("b", f"{b}, which is a as well, so that the score is 0", "another class than a")
    return Contrast(a, b)


@dataclass(frozen=True, eq=False)
class Region:
    """A region of a dense prediction: float32 masks on its grid, one for all inputs or one for each."""

    masks: np.ndarray
    each: bool  # whether the first axis counts the inputs

    def asked(self, targets: npt.ArrayLike | None, count: int, head: str | int | None) -> tuple:
        if targets is None:
            given = "None, but a dense prediction has a class at every position"
            raise ArgumentValueError("targets", given, cure="name the class, targets=0 for the first")
        if self.each and len(self.masks) != count:
            raise ArgumentValueError(
                "score", f"{len(self.masks)} regions for {count} inputs", f"{count}, or one for all"
            )
        masks = self.masks if self.each else np.broadcast_to(self.masks, (count, *self.masks.shape))
        classes = batches.as_targets(targets, count, np.iinfo(np.int32).max)
        return OverRegion(masks.shape[1:], head), [classes, np.ascontiguousarray(masks)]


@dataclass(frozen=True)
class OverRegion:
    """S = sum over the region of z_c, the logits of the target."""

    shape: tuple
    head: str | int | None = None
    layer = None

    @property
    def beside(self):
        return TARGETS, tf.TensorSpec((None, *self.shape), tf.float32)

    def of(self, run, outputs):
        outputs = chosen(run, outputs, self.head)
        targets, masks = run.beside
        if outputs.shape.rank != len(self.shape) + 2 or not outputs.shape[1:-1].is_compatible_with(self.shape):
            given = f"a region of shape {self.shape}, for a model whose output is {tuple(outputs.shape)}"
            raise ArgumentValueError("score", given, "a mask on the grid of a dense prediction, (N, ..., classes)")
        z = as_float(before_squashing(outputs)[1])
        z = tf.concat([-z, z], axis=-1) if z.shape[-1] == 1 else z
        places = tf.einsum("n...k,nk->n...", z, tf.one_hot(targets, z.shape[-1], dtype=z.dtype))
        total = tf.reduce_sum(places * tf.cast(masks, z.dtype), axis=tuple(range(1, places.shape.rank)))
        return "own", total[:, None], z


def region(mask: npt.ArrayLike, each: bool = False) -> Region:
    """Return the score of a class over a region of a dense prediction, for the argument `score` of a method.

    S = sum_p m(p) z_c(p): the logits of the target class, summed over the positions of the mask. `mask`: numbers of 0
    or more (0 and 1, or weights) on the grid of the model's output, for all inputs; with `each` the first axis counts
    the inputs. Raises `TypeError`, `ValueError` for other values or an empty mask. Source: Vinogradova et al. 2020,
    eq. (1), Seg-Grad-CAM.
    """
    each, masks = checks.as_flag("each", each), checks.as_finite("mask", mask)
    if masks.ndim < 1 + each or (masks < 0).any() or not masks.reshape(len(masks) if each else 1, -1).any(axis=1).all():
        given = (
            f"shape {masks.shape}, with {np.count_nonzero(masks > 0)} positive and {(masks < 0).sum()} negative values"
        )
        raise ArgumentValueError("mask", given, "numbers of 0 or more on the grid of the output, some above 0 in each")
    return Region(masks.astype(np.float32), each)


@dataclass(frozen=True)
class Computed:
    """S = f(outputs, targets), whatever a function of the reader makes of the outputs."""

    reference: weakref.ref
    told: bool  # whether it is told the targets, or None
    head: str | int | None = None
    layer = None

    @property
    def beside(self):
        return (TARGETS,) if self.told else ()

    def of(self, run, outputs):
        outputs = outputs if self.head is None else chosen(run, outputs, self.head)
        function: Any = self.reference()
        found = function(outputs, run.beside[0] if self.told else None)
        if not tf.is_tensor(found) or found.shape.rank != 1:
            given = f"a function that gave {getattr(found, 'shape', type(found).__name__)}"
            raise ArgumentValueError("score", given, "a tensor (N,), one number for each example")
        found = as_float(found)[:, None]
        return "own", found, found


def own(score: Any, model: Any) -> Any:
    """What `asked` can be called on, for a score of one's own; None for the words."""
    if isinstance(score, (Contrast, Region)):
        return score
    if not callable(score) or isinstance(score, type):
        return None
    _doubt_fresh(score, model)
    return _Function(score)


@dataclass(frozen=True)
class _Function:
    function: Callable

    def asked(self, targets, count, head):
        method = inspect.ismethod(self.function)
        reference = weakref.WeakMethod(self.function) if method else weakref.ref(self.function)
        told = [] if targets is None else [batches.as_targets(targets, count, np.iinfo(np.int32).max)]
        return Computed(reference, bool(told), head), told


def _doubt_fresh(function, model):
    """A function that is written anew for every call is traced anew for every call."""
    code, seen = getattr(function, "__code__", None), _SEEN.setdefault(model, {})
    if code is None or inspect.ismethod(function):
        return
    if code in seen and seen[code]() is not function:
        given = "a function that was written anew, so that the model is traced anew"
        checks.warn(ArgumentWarning("score", given, cure="define it once and pass the same object"))
    seen[code] = weakref.ref(function)
