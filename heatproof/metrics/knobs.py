"""The knobs of the methods: which settings are tried, declared before looking. The paper's value is the first of each.

At most six values a knob. What a value changes is the map, not the number of passes, with two exceptions: a method that
makes a pass for each feature map makes as many as the layer has, and KernelSHAP never more than there are coalitions.
"""

from collections.abc import Callable

LARGEST = 6  # values of a knob
FEW_SEGMENTS = 50  # of an image: half the default
PLACES = 10  # of a patch along each axis: the stride follows
_WORDS = ("zero", "mean", "blur")
RULES = ("epsilon", "z_plus", "gamma", "epsilon_plus", "epsilon_gamma_box", "epsilon_alpha2_beta1")


class Values:
    """The same values of an option for every network."""

    def __init__(self, name, *values):
        self.name, self.values = name, values

    def __call__(self, query):
        return [{self.name: value} for value in self.values]


def _layers(query):
    """None, the default, and the ends of the blocks before it, the last first."""
    ends = [place.layer for place in query.block_ends()]
    names = [getattr(layer, "name", str(layer)) for layer in ends if layer is not query.place(None).layer]
    return [{"layer": None}, *({"layer": name} for name in names[::-1][: LARGEST - 1])]


def _patches(query):
    """A seventh of each side and other shares of it, each at the same number of places."""
    return [patch_at(share, query.inputs.shape[1:-1]) for share in (7, 10, 5, 4, 3, 2)]


def patch_at(share: int, space: tuple[int, ...]) -> dict[str, list[int]]:
    """A patch of 1/`share` of each side, and the stride with which it stands at `PLACES` places along each axis."""
    patch = [max(1, round(side / share)) for side in space]
    stride = [max(1, min(one, -(-(side - one) // (PLACES - 1)))) for one, side in zip(patch, space, strict=True)]
    return {"patch": patch, "stride": stride}


def _grids(query):
    return [{"grid": cells} for cells in (7, 3, 5, 10, 14, 20) if cells <= min(query.inputs.shape[1:-1])]


def _segments(query):
    """The default number, and others down to 2 and up to the number of samples of a signal."""
    signal = query.inputs.ndim == 3
    counts = (4, 8, 10, 13, 20) if signal else (25, 50, 75, 150, 200)
    return [{"segments": None}, *({"segments": count} for count in counts)]


def _few_segments(query):
    """Numbers that a few hundred draws tell apart, each pair of them being one equation; first the default of signals,
    and for images half of it."""
    counts = (None, 9, 10, 13, 16, 20) if query.inputs.ndim == 3 else (FEW_SEGMENTS, 9, 16, 25, 36, 64)
    return [{"segments": count} for count in counts]


def _baselines(query):
    """Black, or zero; the mean, a blur; and white where the network knows its range."""
    known = query.input_range
    bright = [] if known is None or known[0] < 0 else [{"baseline": float(known[1])}]
    return [*({"baseline": word} for word in _WORDS), *bright]


_NOISE: dict[str, Callable] = {"noise": Values("noise", 0.15, 0.01, 0.02, 0.05, 0.1, 0.2)}
_LAYER: dict[str, Callable] = {"layer": _layers}
KNOBS: dict[str, dict[str, Callable]] = {
    "smooth_grad": _NOISE,
    "var_grad": _NOISE,
    "integrated_gradients": {"baseline": _baselines},
    "deep_lift": {"baseline": _baselines},
    "lrp": {"rule": Values("rule", *RULES)},
    "expected_gradients": {"background": Values("background", "shuffled", "uniform", "constant")},
    "grad_cam": _LAYER,
    "grad_cam_plus_plus": _LAYER,
    "layer_cam": _LAYER,
    "hires_cam": _LAYER,
    "ablation_cam": _LAYER,
    "guided_grad_cam": _LAYER,
    "score_cam": _LAYER | {"fill": Values("fill", *_WORDS)},
    "occlusion": {"patch": _patches, "fill": Values("fill", "middle", *_WORDS)},
    "rise": {
        "grid": _grids,
        "p": Values("p", 0.5, 0.1, 0.3, 0.7, 0.9),
        "fill": Values("fill", *_WORDS),
    },
    "sise": {"fill": Values("fill", *_WORDS)},
    "lime": {"segments": _segments, "fill": Values("fill", "mean", "zero", "blur")},
    "kernel_shap": {"segments": _few_segments, "fill": Values("fill", "mean", "zero", "blur")},
}


def named(name: str) -> dict[str, list | str]:
    """{knob: its values, or the name of the function that finds them for a network}, as a table keeps them."""
    found = KNOBS.get(name, {}).items()
    return {knob: [*each.values] if isinstance(each, Values) else each.__name__ for knob, each in found}


def declared(name, query):
    """{knob: dicts of options} of a method for a network and its inputs; none for a method without knobs."""
    return {knob: values(query) for knob, values in KNOBS.get(name, {}).items()}
