"""Extremal perturbation: the mask of a given area that keeps a class best, or takes it away best.

Shared arguments (model, inputs, targets, score, seed, batch_size) are explained in `xai_utils`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT
from heatproof.enlarging import Enlarging
from heatproof.methods.blends import Adam, Blends, grid_of, references
from heatproof.methods.levels import hardened, level_of, mask_at, top
from heatproof.problems import ArgumentValueError, ArgumentWarning
from heatproof.progress import progress

GAMES = ("preservation", "deletion")
FASTEST, WAY = 0.1, 24.0  # the largest rate of Adam, and the sum of the rates of all steps
NOISE = 1.0  # its scale at the start
STEEP = (4.0, 20.0)  # k at the first step and at the last
JUDGED = 20  # steps from one trial scored as a binary mask to the next: the best trial is kept
ROUNDS = 2  # of the search for the level at each step; the last search is exact


class Extremal(NamedTuple):
    """What `extremal_perturbation` finds: masks, and the curves of the score over their areas."""

    masks: np.ndarray  # (N, areas, H, W) or (N, areas, T), float32 in [0, 1]
    scores: np.ndarray  # S_c seen through them, (N, areas)
    binary_scores: np.ndarray  # S_c through the masks of the same areas that are 0 and 1, (N, areas)
    smallest: np.ndarray  # the smallest area that is enough, (N,); NaN where none is
    areas: np.ndarray  # as asked for, from small to large, (areas,)
    whole: np.ndarray  # S_c of the inputs, (N,)
    nothing: np.ndarray  # S_c of the references, (N,)


def extremal_perturbation(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    areas: npt.ArrayLike = (0.05, 0.1, 0.2, 0.4),
    game: str = "preservation",
    reference: str | npt.ArrayLike = "blur",
    grid: int | Sequence[int] | None = None,
    steps: int = 800,
    seed: int = 0,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> Extremal:
    """The mask of each area that keeps the score of a class highest (preservation) or makes it lowest (deletion).

    preservation: max_m S_c(m * x + (1 - m) * r); deletion: min_m S_c((1 - m) * x + m * r); both over mean m = a.
    m = sigmoid(k (theta - t)): theta is enlarged linearly from `grid` cells per axis, and t is found such that
    mean m = a within 1e-6, for each input and each a of `areas`. The gradient is that of the share
    (S_c(Phi) - S_c(r)) / |S_c(x) - S_c(r)|, so logits scaled by a factor have the same masks. theta starts at 0 and
    takes `steps` steps of Adam while k rises. Gradients are taken at theta plus noise that fades, so that nearly binary
    masks are tried from the start; otherwise a grey blend could be learned whose score no binary mask reaches. Every
    20th theta tried is scored as a binary mask; the best of these and the last one is kept. Then k is doubled until the
    positions where m lies between 0.1 and 0.9 are at most a tenth of all, and at most half of a or of 1 - a. The binary
    masks are 1 at the round(a P) of the P positions with the largest theta. `smallest`: the first area whose binary
    mask keeps the predicted class (preservation) or loses it (deletion); NaN where none does, and for numbers, units
    and scores of one's own, which have no class. `reference`, `grid`: as in `meaningful_perturbation`. Warns
    (`XAIWarning`) where S_c(x) < S_c(r). Raises `ValueError` for areas outside (0, 1), a grid finer than the positions,
    or a reference that equals an input or scores the same. Source: Fong, Patrick, Vedaldi 2019, who enforce the area
    by a penalty; here it is exact.
    """
    asked = _checked(areas)
    deletes = checks.one_of("game", game, GAMES) == "deletion"
    steps, seed = checks.as_count("steps", steps), checks.as_count("seed", seed, 0)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size,
        as_positions=True,
    )  # fmt: skip
    if query.recipe.nest is not None and len(query.recipe.nest.explained) > 1:
        names = [query.recipe.nest.names[number] for number in query.recipe.nest.explained]
        raise ArgumentValueError("only", "None, for a model with several inputs", f"one of {names}")
    places = int(np.prod(query.inputs.shape[1:-1]))
    if not ((np.rint(asked * places) >= 1) & (np.rint(asked * places) < places)).all():
        allowed = f"at least one of {places} positions, and not all of them"
        raise ArgumentValueError("areas", checks.shown(areas), allowed)
    return _Search(query, references(reference, query, seed), grid_of(query, grid), asked, deletes).found(steps, seed)


def _checked(areas):
    """The checked areas, each once, from small to large."""
    found = checks.as_numbers("areas", areas)
    if found.ndim != 1 or not found.size or not ((found > 0) & (found < 1)).all():
        given = checks.shown(areas)
        raise ArgumentValueError("areas", given, "one share or more, each above 0 and below 1", "areas=(0.05, 0.2)")
    return np.unique(found)


class _Search:
    """Masks of all areas for all inputs of a query, some inputs at a time; masks and heights are rows (n, areas, P)."""

    def __init__(self, query: Query, hidden: np.ndarray, grid: list[int], areas: np.ndarray, deletes: bool) -> None:
        self.query, self.hidden, self.grid, self.deletes = query, hidden, grid, deletes
        self.areas, self.space = areas[:, None], query.inputs.shape[1:-1]
        self.enlarge = Enlarging(grid, self.space, dtype=query.inputs.dtype)
        self.whole, self.nothing = query.scores(), query.scores(hidden)
        self.unit = self._unit()

    def _unit(self):
        """|S_c(x) - S_c(r)| of each input; refused where it is zero."""
        apart = self.whole.astype(np.float64) - self.nothing
        same = np.abs(apart) <= 1e-6 * np.maximum(np.abs(self.whole), np.abs(self.nothing))
        if same.any():
            first = np.flatnonzero(same)[0]
            given = f"one that scores as input {first} does, {self.whole[first]:g}"
            raise ArgumentValueError("reference", given, "one that changes the score", "another reference")
        if (apart < 0).any():
            given = f"one that scores higher than the input for {(apart < 0).sum()} of {len(apart)} inputs"
            checks.warn(ArgumentWarning("reference", given, cure="the predicted class, or another reference"))
        return np.abs(apart)[:, None, None]

    def found(self, steps: int, seed: int) -> Extremal:
        """The masks after all steps, and their scores."""
        size, count = max(1, self.query.batch_size // self.areas.size), len(self.query.inputs)
        starts = range(0, count, size)
        parts = [self._part(np.arange(count)[start : start + size], steps, seed) for start in starts]
        masks, scores, binary, decided = (np.concatenate(each) for each in zip(*parts, strict=True))
        areas = self.areas.ravel()
        smallest = np.where(decided.any(axis=1), areas[decided.argmax(axis=1)], np.nan)
        return Extremal(masks, scores, binary, smallest, areas, self.whole, self.nothing)

    def _part(self, items, steps, seed):
        """Masks, scores, binary scores, and which binary masks decide the class, of some inputs."""
        blends = Blends(self.query, items, self.hidden, self.areas.size)
        heights = self._rows(self.enlarge(self._climbed(blends, steps, seed)))
        masks = hardened(heights, self.areas, STEEP[1])
        scores = blends.scores(self._shown(blends, masks))
        binary = blends.scores(self._shown(blends, top(heights, self.areas)))
        return masks.reshape(*masks.shape[:2], *self.space).astype(np.float32), scores, binary, self._decided(blends)

    def _climbed(self, blends, steps, seed):
        """theta (n, areas, *grid): the best of those that were tried and scored."""
        generator, adam, best = np.random.default_rng(seed), Adam(min(FASTEST, WAY / steps)), None
        theta = np.zeros((len(blends.items), self.areas.size, *self.grid))
        level = np.zeros((*theta.shape[:2], 1))
        for step in progress(range(steps), steps, "extremal perturbation"):
            steep, fading = STEEP[0] * (STEEP[1] / STEEP[0]) ** (step / steps), NOISE * (1 - step / steps)
            tried = theta + fading * generator.logistic(size=theta.shape[1:])
            heights = self._rows(self.enlarge(tried.astype(blends.points.dtype)))
            level = level_of(heights, self.areas, steep, level, ROUNDS)
            rise = steep * self._rise(blends, mask_at(heights, steep, level))
            theta += adam.step(self.enlarge.back(rise.reshape(*rise.shape[:2], *self.space)))
            if step % JUDGED == JUDGED - 1:
                best = self._better(blends, best, tried)
        return self._better(blends, best, theta)[0]

    def _better(self, blends, best, theta):
        """(theta, reward) of each mask that did better as a binary one: those of `best`, or of this theta."""
        scores = blends.scores(self._shown(blends, top(self._rows(self.enlarge(theta)), self.areas)))
        reward = -scores if self.deletes else scores
        if best is None:
            return theta, reward
        better = (reward >= best[1]).reshape(*reward.shape, *[1] * len(self.grid))
        return np.where(better, theta, best[0]), np.maximum(reward, best[1])

    def _rise(self, blends, masks):
        """The gradient of the share by k h where the area stays: m' (g - the mean of g weighted by m'), m' = m (1 - m).

        The reward falls with what is shown of the input where it is deleted.
        """
        slope = blends.by_position(blends.gradient(self._shown(blends, masks))).reshape(masks.shape)
        slope /= self.unit[blends.items]
        bend = masks * (1 - masks)
        weights = np.maximum(bend.sum(axis=-1, keepdims=True), 1e-30)
        slope -= (bend * slope).sum(axis=-1, keepdims=True) / weights
        slope *= bend
        return slope

    def _shown(self, blends, masks):
        """What of the inputs is seen, for each channel."""
        shown = (1 - masks if self.deletes else masks).astype(blends.points.dtype, copy=False)
        return blends.by_channel(shown).reshape(*masks.shape[:2], *self.space[:-1], -1)

    def _decided(self, blends):
        """Whether the blend that was made last has the class predicted (preservation) or not (deletion)."""
        predicted = self.query.predicted(blends.points, blends.rows)
        if predicted is None:
            return np.zeros((len(blends.items), blends.count), bool)
        return ((predicted == self.query.targets[blends.rows]) != self.deletes).reshape(-1, blends.count)

    @staticmethod
    def _rows(maps):
        return maps.reshape(*maps.shape[:2], -1)
