"""MNIST-1D as it is generated, and where each signal carries its evidence.

The published generator (Greydanus and Kobak 2020/2024) hides a template of 12 numbers in a signal of 40 samples; it
knows where the template went. `mnist1d_utils` is the door.
"""

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import gaussian_filter1d

from heatproof import checks
from heatproof.problems import ArgumentTypeError, ArgumentValueError

CLASS_NAMES = tuple("0123456789")
LENGTH = 40  # samples of a finished signal
PADDING = (36, 60)  # the fewest and the most zeros after the 12 samples of a template
DILATED = 12 + PADDING[1]  # samples of a signal before the last resampling
SCALE = 0.4  # width of the amplitude factor's range about 1
SHIFTS = 48  # the shift is 0 ... 47 dilated samples
VALIDATION = 500  # the last signals of the (already shuffled) training part
LARGEST_SEED = 2**32 - 1  # of numpy.random.RandomState


def templates() -> dict:
    """Return the ten published templates: x (10, 12) amplitudes, t (12,) times, y (10,) digits.

    Each drawn row is standardised, shifted to start at 0 and divided by 6. Source: Greydanus and Kobak, fig. 1.
    """
    drawn = np.array(
        [
            [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
            [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
            [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
            [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
            [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
            [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
            [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
            [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
            [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
            [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
        ]
    )
    standard = (drawn - drawn.mean(axis=1, keepdims=True)) / drawn.std(axis=1, keepdims=True)
    return {"x": (standard - standard[:, :1]) / 6, "t": np.linspace(-5, 5, 12) / 6, "y": np.arange(10)}


def _resample(values: np.ndarray, length: int) -> np.ndarray:
    """Resample linearly to `length` samples; the first and the last sample keep their places."""
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(values)), values)


def _signal(
    template: np.ndarray, random: np.random.RandomState, correlated_noise: float, white_noise: float, shear: float
) -> tuple[np.ndarray, np.ndarray]:
    """Hide one template in noise; return the signal (40,) and the template's share in each sample (40,).

    The draws and their order (padding, scale, shift, correlated noise, white noise, shear) are the published ones.
    """
    low, high = PADDING
    zeros = np.zeros(low + int(random.rand() * (high - low + 1)))
    carrier = _resample(np.concatenate([template + 1e-8, zeros]), DILATED)  # 1e-8 tells the template from padding
    carrier = carrier * (1 + SCALE * (random.rand() - 0.5))
    carrier = np.roll(carrier, random.choice(SHIFTS))
    present = carrier != 0
    signal = np.where(present, carrier, gaussian_filter1d(correlated_noise * random.randn(DILATED), 2))
    signal = signal + white_noise * random.randn(DILATED)
    signal = signal - shear * (random.rand() - 0.5) * np.linspace(-0.5, 0.5, DILATED)
    return _resample(signal, LENGTH), _resample(present.astype(float), LENGTH)


def make_dataset(
    seed: int = 42,
    *,
    count: int = 5000,
    correlated_noise: float = 0.25,
    white_noise: float = 0.02,
    shear: float = 0.75,
    glyphs: dict | None = None,
) -> dict:
    """Generate MNIST-1D: a dictionary with the published keys and where each signal carries its template.

    With the default arguments x, x_test (signals), y, y_test (digits), t (times) and templates equal the published
    data. evidence (0.8 count, 40) and evidence_test (0.2 count, 40) hold, for each sample, the share in [0, 1] of
    its value that was interpolated from samples of the template rather than from noise; see `evidence_masks`.
    `count`: signals in all, a multiple of 10; `correlated_noise`, `white_noise`: standard deviations before
    smoothing, in units of the raw signal; `shear`: width of the range of the added slope; `glyphs`: templates in
    the form of `templates()`. The draws come from a local generator and stay the same whatever the noise.
    Raises TypeError or ValueError for a seed, count, noise, shear or template that does not fit.
    Source: Greydanus and Kobak 2020/2024, arXiv:2011.14439, section 2.
    """
    seed = checks.as_count("seed", seed, 0, LARGEST_SEED)
    glyphs = _checked_recipe(count, correlated_noise, white_noise, shear, glyphs)
    random = np.random.RandomState(seed)
    digits = np.repeat(np.arange(10), count // 10)
    pairs = [_signal(glyphs["x"][d], random, correlated_noise, white_noise, shear) for d in digits]
    order = random.permutation(count)
    x, evidence = (np.stack(column)[order] for column in zip(*pairs, strict=True))
    y = np.asarray(glyphs["y"])[digits[order]]
    t = _resample(_resample(glyphs["t"], DILATED), LENGTH) / x.std()
    x = (x - x.mean()) / x.std()
    cut = int(count * 0.8)
    data = {"x": x[:cut], "x_test": x[cut:], "y": y[:cut], "y_test": y[cut:], "t": t, "templates": glyphs}
    return data | {"evidence": evidence[:cut], "evidence_test": evidence[cut:]}


def numbers(values: object) -> np.ndarray:
    """The values as an array of real numbers; an empty one where they are none."""
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        return np.zeros(0)
    return array if array.dtype.kind in "iuf" else np.zeros(0)


def _checked_recipe(count: int, correlated_noise: float, white_noise: float, shear: float, glyphs: dict | None) -> dict:
    if checks.as_count("count", count, 10) % 10:
        raise ArgumentValueError("count", f"{count}", "a multiple of 10 (ten digits), such as 5000")
    for name, value in {"correlated_noise": correlated_noise, "white_noise": white_noise, "shear": shear}.items():
        checks.as_number(name, value, 0)
    glyphs = templates() if glyphs is None else glyphs
    check_templates("glyphs", glyphs)
    return glyphs


def check_templates(name: str, glyphs: dict) -> None:
    """Raise ValueError unless `glyphs` has the form of `templates()`."""
    shapes = {"x": (10, 12), "t": (12,), "y": (10,)}
    found = {key: numbers(glyphs.get(key)) for key in shapes} if isinstance(glyphs, dict) else {}
    given = {key: array.shape for key, array in found.items()}
    if given != shapes:
        allowed = f"a dictionary with arrays of the shapes {shapes}, as templates() returns"
        raise ArgumentValueError(name, f"the shapes {given}" if given else checks.shown(glyphs), allowed)
    if not all(np.isfinite(array).all() for array in found.values()):
        raise ArgumentValueError(name, "NaN or infinity", "finite numbers, as templates() returns")


def evidence_masks(data: dict | None = None, threshold: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return two boolean arrays, train (4000, 40) and test (1000, 40): where the signal carries its template.

    A sample is evidence when share >= threshold. The last resampling (72 to 40 samples) mixes two neighbours, so a
    sample at the template's border has a share between 0 and 1; 0.5 keeps those that are template for at least
    half. The shares themselves are data["evidence"] and data["evidence_test"] of `make_dataset`; share > 0 is
    every sample that depends on the template at all. The first and last value of a template are 0: there the
    evidence is that the correlated noise is missing. Data from `load_pickle` has no shares: they are generated anew
    and the signals compared. `data` None is the published data set.
    Raises ValueError for a threshold outside (0, 1] and for signals that are not the published ones, TypeError for
    what is no data set.
    """
    threshold = checks.as_number("threshold", threshold, 0, 1, open_ends="low")
    if data is not None:
        check_keys("data", data, ("x", "x_test"))
    if data is None or "evidence" not in data:
        generated = make_dataset()
        if data is not None and not all(_same(data[key], generated[key]) for key in ("x", "x_test")):
            given = "what is not the published MNIST-1D, so that its evidence is unknown"
            raise ArgumentValueError("data", given, cure="take data from make_dataset(), which records it")
        data = generated
    return data["evidence"] >= threshold, data["evidence_test"] >= threshold


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    a = numbers(a)
    return a.shape == b.shape and np.allclose(a, b, atol=1e-6)


def check_keys(name: str, data: dict, needed: Iterable[str]) -> None:
    """Raise TypeError unless `data` is a dictionary, ValueError unless it has the keys `needed`."""
    allowed = f"a dictionary with the keys {list(needed)}, as make_dataset() returns"
    if not isinstance(data, dict):
        raise ArgumentTypeError(name, type(data).__name__, allowed)
    if not set(needed) <= data.keys():
        raise ArgumentValueError(name, f"the keys {sorted(map(str, data))}", allowed)


def check_signals(name: str, data: dict, part: str) -> None:
    """Raise ValueError unless one part of the data, "" or "_test", holds signals (N, 40) and digits (N,)."""
    x, y = numbers(data["x" + part]), numbers(data["y" + part])
    if x.ndim != 2 or x.shape[1] != LENGTH or y.shape != x.shape[:1] or not len(x):
        allowed = f"(N, {LENGTH}) and (N,)"
        raise ArgumentValueError(name, f"x{part} of shape {x.shape} and y{part} of shape {y.shape}", allowed)
    if x.dtype.kind != "f" or not np.isfinite(x).all():
        given = f"x{part} of {x.dtype} with NaN or infinity" if x.dtype.kind == "f" else f"x{part} of {x.dtype}"
        raise ArgumentValueError(name, given, f"finite floating-point numbers in x{part}")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() > 9:
        given = f"y{part} of {y.dtype} from {y.min()} to {y.max()}"
        raise ArgumentValueError(name, given, f"whole numbers from 0 to 9 in y{part}")


def split(data: dict, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one part of the data as network input x (N, 40, 1) float32 and labels y (N,).

    `part` is "train" (3500 signals), "validation" (the last 500 of the published training part) or "test" (1000).
    """
    checks.one_of("part", part, ("train", "validation", "test"))
    suffix = "_test" if part == "test" else ""
    check_keys("data", data, ("x" + suffix, "y" + suffix))
    check_signals("data", data, suffix)
    x, y = np.asarray(data["x" + suffix], "float32")[..., None], np.asarray(data["y" + suffix])
    cut = len(x) - VALIDATION
    if part != "test" and cut < 1:
        allowed = f"more than {VALIDATION}, which validation alone takes"
        raise ArgumentValueError("data", f"{len(x)} training signals", allowed)
    rows = {"train": slice(0, cut), "validation": slice(cut, None), "test": slice(None)}[part]
    return x[rows], y[rows]
