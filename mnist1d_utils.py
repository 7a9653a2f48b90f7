"""MNIST-1D: the data with its evidence masks, a safe reader, the networks and their training.

MNIST-1D (Greydanus and Kobak 2020/2024, "Scaling down deep learning with MNIST-1D", ICML 2024) draws each of
ten digits as a template of 12 numbers and hides it in a signal of 40 samples: the template is padded, dilated,
scaled, shifted, surrounded by correlated noise, covered with white noise, sheared and resampled.
The generator knows where the template went, so the data carries the true answer to "where is the evidence?".

    data = make_dataset()                       # or load_pickle("data/MNIST1D.pkl")
    train_mask, test_mask = evidence_masks(data)
    model = network("flatten")
    history = train(model, data)
    x, y = split(data, "test")                  # (1000, 40, 1) float32 and (1000,) int64

A data set is a dictionary with the published keys x (4000, 40), y (4000,), x_test (1000, 40), y_test (1000,),
t (40,) and templates. This module knows nothing of explanations.
"""

import math
import os
import pickle
import tempfile
from pathlib import Path

import keras
import numpy as np
from scipy.ndimage import gaussian_filter1d
from tqdm.auto import tqdm

CLASS_NAMES = tuple("0123456789")
LENGTH = 40  # samples of a finished signal
PADDING = (36, 60)  # the fewest and the most zeros after the 12 samples of a template
DILATED = 12 + PADDING[1]  # samples of a signal before the last resampling
SCALE = 0.4  # width of the amplitude factor's range about 1
SHIFTS = 48  # the shift is 0 ... 47 dilated samples
VALIDATION = 500  # the last signals of the (already shuffled) training part
WIDTHS = (32, 48, 64)  # channels of conv1, conv2, conv3
BATCH = 50

# ----------------------------------------------------------------------------------------------- the generator


def templates():
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


def _resample(values, length):
    """Resample linearly to `length` samples; the first and the last sample keep their places."""
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(values)), values)


def _signal(template, random, correlated_noise, white_noise, shear):
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


def make_dataset(seed=42, *, count=5000, correlated_noise=0.25, white_noise=0.02, shear=0.75, glyphs=None):
    """Generate MNIST-1D: a dictionary with the published keys and where each signal carries its template.

    With the default arguments x, x_test (signals), y, y_test (digits), t (times) and templates equal the published
    data. evidence (0.8 count, 40) and evidence_test (0.2 count, 40) hold, for each sample, the share in [0, 1] of
    its value that was interpolated from samples of the template rather than from noise; see `evidence_masks`.
    `count`: signals in all, a multiple of 10; `correlated_noise`, `white_noise`: standard deviations before
    smoothing, in units of the raw signal; `shear`: width of the range of the added slope; `glyphs`: templates in
    the form of `templates()`. The draws come from a local generator and stay the same whatever the noise.
    Raises ValueError for a count, noise, shear or template that does not fit.
    Source: Greydanus and Kobak 2020/2024, arXiv:2011.14439, section 2.
    """
    _check_seed(seed)
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


def _is_number(value):
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _numbers(values):
    """The values as an array of real numbers; an empty one where they are none."""
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        return np.zeros(0)
    return array if array.dtype.kind in "iuf" else np.zeros(0)


def _as_path(path, name="path"):
    try:
        return Path(path)
    except TypeError:
        raise TypeError(f"{name} is {path!r}; it must be the name of a file") from None


def _check_word(name, given, allowed):
    if not isinstance(given, str) or given not in allowed:
        *others, last = map(repr, allowed)
        raise ValueError(f"{name} is {given!r}; it must be {', '.join(others)} or {last}")


def _check_seed(seed):
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed!r}; it must be a whole number from 0 to 2**32 - 1, for example 42")


def _checked_recipe(count, correlated_noise, white_noise, shear, glyphs):
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 10 or count % 10:
        raise ValueError(f"count is {count!r}; it must be a positive multiple of 10 (ten digits), for example 5000")
    for name, value in {"correlated_noise": correlated_noise, "white_noise": white_noise, "shear": shear}.items():
        if not _is_number(value) or not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value!r}; it must be one finite number that is not negative")
    glyphs = templates() if glyphs is None else glyphs
    _check_templates(glyphs, "glyphs")
    return glyphs


def _check_templates(glyphs, name):
    shapes = {"x": (10, 12), "t": (12,), "y": (10,)}
    found = {key: _numbers(glyphs.get(key)) for key in shapes} if isinstance(glyphs, dict) else {}
    if {key: array.shape for key, array in found.items()} != shapes:
        raise ValueError(f"{name} must be a dictionary with arrays of the shapes {shapes}, as templates() returns")
    if not all(np.isfinite(array).all() for array in found.values()):
        raise ValueError(f"{name} must hold finite numbers, as templates() returns")


def evidence_masks(data=None, threshold=0.5):
    """Return two boolean arrays, train (4000, 40) and test (1000, 40): where the signal carries its template.

    A sample is evidence when share >= threshold. The last resampling (72 to 40 samples) mixes two neighbours, so a
    sample at the template's border has a share between 0 and 1; 0.5 keeps those that are template for at least
    half. The shares themselves are data["evidence"] and data["evidence_test"] of `make_dataset`; share > 0 is
    every sample that depends on the template at all. The first and last value of a template are 0: there the
    evidence is that the correlated noise is missing. Data from `load_pickle` has no shares: they are generated anew
    and the signals compared. `data` None is the published data set.
    Raises ValueError for a threshold outside (0, 1] and for signals that are not the published ones.
    """
    if not _is_number(threshold) or not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold!r}; it must lie in (0, 1], for example 0.5")
    if data is not None and (not isinstance(data, dict) or not {"x", "x_test"} <= data.keys()):
        raise ValueError("data must be a dictionary with the keys of make_dataset(), or None for the published data")
    if data is None or "evidence" not in data:
        generated = make_dataset()
        if data is not None and not all(_same(data[key], generated[key]) for key in ("x", "x_test")):
            raise ValueError(
                "data is not the published MNIST-1D, so its evidence is unknown; "
                "take data from make_dataset(), which records it"
            )
        data = generated
    return data["evidence"] >= threshold, data["evidence_test"] >= threshold


def _same(a, b):
    a = _numbers(a)
    return a.shape == b.shape and np.allclose(a, b, atol=1e-6)


# ------------------------------------------------------------------------------------------ the file, read safely


class _Array:
    """A numpy array as the stream describes it: two inert values; nothing of numpy runs while the file is read."""

    __slots__ = ("arguments", "state")

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, None

    def __setstate__(self, state):
        self.state = state


class _Buffer(_Array):
    """An array as pickle protocol 5 describes it: (bytes, data type, shape, order)."""

    __slots__ = ()


class _DataType(_Array):
    """A data type: arguments ("f8", ...), state (version, byte order, ...)."""

    __slots__ = ()


_ADMITTED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
}


class _Unpickler(pickle._Unpickler):  # the one in Python: the other takes gigabytes when a few bytes ask for them
    """Reads plain containers; the few names that arrays need become inert descriptions; any other is refused."""

    def find_class(self, module, name):
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs; nothing was run")
        return _ADMITTED[module, name]


def _array(described):
    """Build the array that was described; raises when it is not of plain numbers."""
    if isinstance(described, _Buffer):
        content, kind, shape, order = described.arguments
    else:
        _, shape, kind, fortran, content = described.state
        order = "F" if fortran else "C"
    code = kind.arguments[0]
    if code not in ("f4", "f8", "i4", "i8"):
        raise ValueError(f"it holds an array of type {code!r}; admitted are f4, f8, i4, i8")
    stored = np.dtype((">" if kind.state and kind.state[1] == ">" else "<") + code)
    return np.frombuffer(content, stored).reshape(shape, order=order).astype(code, order="C")


def _materialise(value):
    if isinstance(value, _Array):
        return _array(value)
    return {key: _materialise(item) for key, item in value.items()} if isinstance(value, dict) else value


def load_pickle(path):
    """Read a data set with the published keys from a pickle without executing anything that the file holds.

    A pickle is a program. This reader admits only the names that a numpy array needs (numpy 1 and 2, protocols 3
    to 5), turns them into inert descriptions, builds the arrays itself, and refuses every other name.
    Returns a dictionary with x (N, 40), x_test (M, 40), y (N,), y_test (M,), t (40,) and templates.
    Raises FileNotFoundError when there is no such file, ValueError when it is damaged, hostile or something else.
    """
    path = _as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path is {str(path)!r}, which is no file; write_pickle(path) makes it")
    try:
        with path.open("rb") as stream:
            data = _materialise(_Unpickler(stream).load())
    except Exception as error:  # a damaged stream fails in many ways; each means that the file cannot be used
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path.name} is refused: {reason}; write_pickle(path) makes a good one") from error
    _check_published(data, path.name)
    return data


def _check_published(data, name):
    needed = {"x", "x_test", "y", "y_test", "t", "templates"}
    if not isinstance(data, dict) or not needed <= data.keys():
        found = sorted(map(str, data)) if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{name} holds {found}; a data set has the keys {sorted(needed)}")
    for part in ("", "_test"):
        _check_signals(data, part, name)
    if _numbers(data["t"]).shape != (LENGTH,):
        raise ValueError(f"{name}: t has the shape {_numbers(data['t']).shape}; expected ({LENGTH},)")
    _check_templates(data["templates"], f"{name}: templates")


def _check_signals(data, part, name):
    x, y = _numbers(data["x" + part]), _numbers(data["y" + part])
    if x.ndim != 2 or x.shape[1] != LENGTH or y.shape != x.shape[:1] or not len(x):
        raise ValueError(f"{name}: x{part} {x.shape}, y{part} {y.shape}; expected (N, {LENGTH}) and (N,)")
    if x.dtype.kind != "f" or not np.isfinite(x).all():
        raise ValueError(f"{name}: x{part} must hold finite floating-point numbers, it is {x.dtype}")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() > 9:
        raise ValueError(f"{name}: y{part} must hold whole numbers from 0 to 9")


def write_pickle(path, data=None):
    """Write a data set with the published keys, the same bytes each time; `data` None is the published data set.

    Only the published keys are written: shares of evidence come from the generator. Raises ValueError for other data.
    """
    path, data = _as_path(path), make_dataset() if data is None else data
    _check_published(data, "data")
    content = {key: data[key] for key in ("x", "x_test", "y", "y_test", "t")}
    content["templates"] = {key: np.asarray(data["templates"][key]) for key in ("x", "t", "y")}
    _write(path, lambda stream: pickle.dump(content, stream, protocol=4))


def _write(path, fill):
    """Write a file through a temporary neighbour, so that it is either whole or absent."""
    path = Path(path)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
            partial = Path(folder) / path.name
            with partial.open("wb") as stream:
                fill(stream)
            os.replace(partial, path)
    except OSError as error:
        message = f"path: {path} could not be written ({error.strerror or error}); what was there is unchanged: "
        message += "make room, or name another folder"
        raise OSError(*([error.errno] if error.errno else []), message) from error


# ------------------------------------------------------------------------------------- the networks, their training


def split(data, part):
    """Return one part of the data as network input x (N, 40, 1) float32 and labels y (N,).

    `part` is "train" (3500 signals), "validation" (the last 500 of the published training part) or "test" (1000).
    """
    _check_word("part", part, ("train", "validation", "test"))
    suffix = "_test" if part == "test" else ""
    if not isinstance(data, dict) or not {"x" + suffix, "y" + suffix} <= data.keys():
        raise ValueError(f"data must be a dictionary with x{suffix} and y{suffix}, as make_dataset() returns")
    _check_signals(data, suffix, "data")
    x, y = np.asarray(data["x" + suffix], "float32")[..., None], np.asarray(data["y" + suffix])
    cut = len(x) - VALIDATION
    if part != "test" and cut < 1:
        raise ValueError(f"data has {len(x)} training signals; validation alone takes {VALIDATION}")
    rows = {"train": slice(0, cut), "validation": slice(cut, None), "test": slice(None)}[part]
    return x[rows], y[rows]


def network(head="flatten", seed=0):
    """Build the classifier: three Conv1D with ReLU (conv1, conv2, conv3), a head, Dense(10) softmax "probabilities".

    `head` "flatten" keeps the place of a feature (conv3: 10 positions); "gap" averages over time, so that CAM
    applies (conv3: 20 positions). Weights are drawn from `seed` alone: He normal, Glorot uniform in the last layer.
    Raises ValueError for another head.
    """
    _check_word("head", head, ("flatten", "gap"))
    _check_seed(seed)
    strides = (2, 2, 1) if head == "flatten" else (1, 2, 1)
    start = [keras.initializers.HeNormal(seed=10 * seed + i) for i in range(3)]
    last = keras.initializers.GlorotUniform(seed=10 * seed + 3)
    inputs = keras.Input((LENGTH, 1), name="signal")
    x = inputs
    for i, stride in enumerate(strides):
        options = {"strides": stride, "padding": "same", "activation": "relu", "kernel_initializer": start[i]}
        x = keras.layers.Conv1D(WIDTHS[i], 5, name=f"conv{i + 1}", **options)(x)
    if head == "flatten":
        x = keras.layers.Flatten(name="flatten")(x)
    else:
        x = keras.layers.GlobalAveragePooling1D(name="gap")(x)
    outputs = keras.layers.Dense(10, activation="softmax", kernel_initializer=last, name="probabilities")(x)
    return keras.Model(inputs, outputs, name=f"mnist1d_{head}")


def augment(x, random):
    """Vary signals (N, 40, 1) in ways that keep the digit, each like a step of the generator; float32.

    x' = (1 + a) roll(x, k) + b u + n with k in -5 ... 5 samples, a in [-0.2, 0.2], slope b in [-1, 1] along
    u = -0.5 ... 0.5, white noise n of standard deviation 0.05, in standardised units; `random` is a numpy Generator.
    """
    if np.shape(x)[1:] != (LENGTH, 1) or not isinstance(random, np.random.Generator):
        raise ValueError(f"x has the shape {np.shape(x)}, random is {random!r}; needed: (N, {LENGTH}, 1), a Generator")
    count = len(x)
    places = (np.arange(LENGTH) - random.integers(-5, 6, (count, 1))) % LENGTH
    varied = np.take_along_axis(x[..., 0], places, axis=1) * (1 + random.uniform(-0.2, 0.2, (count, 1)))
    varied += random.uniform(-1, 1, (count, 1)) * np.linspace(-0.5, 0.5, LENGTH)
    varied += 0.05 * random.standard_normal((count, LENGTH))
    return varied[..., None].astype("float32")


def train(model, data, *, epochs=40, seed=0, checkpoint=None, progress=None):
    """Train the model in place on split "train"; it ends with the weights of the epoch best on "validation".

    AdamW with weight decay 0.001, rate falling from 0.005 to 0 along a cosine (Loshchilov and Hutter 2017/2019),
    batches of 50, cross-entropy, new variations (`augment`) in each epoch. Best is the highest validation accuracy,
    at a tie the lowest loss. The test part is never read. Order and variations follow from `seed` and the number of
    the epoch alone; no global random state is touched; equal seeds give equal weights on one machine.
    `checkpoint`: a file (.npz) written after each epoch; a run that finds it goes on from there and ends with the
    same weights as one that was never interrupted. `progress`: show a bar; None asks XAI_PROGRESS ("0" hides it).
    Returns a dictionary: loss, accuracy (varied signals), validation_loss, validation_accuracy, each a list with one
    number per epoch, and best_epoch, counted from 1.
    Raises ValueError for a model or data of other shapes, epochs below 1, and a checkpoint of another run.
    """
    x, y = split(data, "train")
    _check_training(model, epochs, seed, checkpoint)
    steps = math.ceil(len(x) / BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.005, epochs * steps)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.001)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    run = _Run(model, checkpoint, f"{model.name} {model.count_params()} weights, {epochs} epochs, seed {seed}")
    hidden = os.environ.get("XAI_PROGRESS") == "0" if progress is None else not progress
    with tqdm(total=epochs, initial=run.epoch, desc=model.name, unit="epoch", disable=hidden) as bar:
        while run.epoch < epochs:
            random = np.random.default_rng((seed, run.epoch))
            order = random.permutation(len(x))
            fit = model.fit(augment(x[order], random), y[order], batch_size=BATCH, shuffle=False, verbose=0)
            run.record(fit.history, *split(data, "validation"))
            bar.set_postfix(validation=f"{run.history['validation_accuracy'][-1]:.3f}")
            bar.update()
    model.set_weights(run.best)
    return run.history | {"best_epoch": run.best_epoch}


def _check_training(model, epochs, seed, checkpoint):
    _check_seed(seed)
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != ((None, LENGTH, 1), (None, 10)):
        raise ValueError(f"model maps {shapes[0]} to {shapes[1]}; it must map (None, {LENGTH}, 1) to (None, 10)")
    if not isinstance(epochs, (int, np.integer)) or isinstance(epochs, bool) or epochs < 1:
        raise ValueError(f"epochs is {epochs!r}; it must be a whole number, at least 1")
    path = None if checkpoint is None else _as_path(checkpoint, "checkpoint")
    if path is not None and (path.suffix != ".npz" or not path.parent.is_dir()):
        raise ValueError(f"checkpoint is {str(checkpoint)!r}; it must end in .npz and lie in a folder that exists")


class _Run:
    """A training under way: its history, the best weights so far, and the file from which it can be resumed."""

    def __init__(self, model, path, label):
        self.model, self.path, self.label = model, path, label
        self.history = {key: [] for key in ("loss", "accuracy", "validation_loss", "validation_accuracy")}
        self.best = None
        model.optimizer.build(model.trainable_variables)
        if path is not None and Path(path).exists():
            self._resume()

    @property
    def epoch(self):
        """Epochs done."""
        return len(self.history["loss"])

    @property
    def best_epoch(self):
        """Counted from 1: highest validation accuracy, then lowest validation loss, then earliest."""
        accuracy, loss = self.history["validation_accuracy"], self.history["validation_loss"]
        return 1 + min(range(self.epoch), key=lambda i: (-accuracy[i], loss[i]))

    def record(self, fitted, x, y):
        """Add one epoch: what fitting reported, and how the model does on the validation signals."""
        probabilities = self.model.predict_on_batch(x)
        loss = -np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-7)).mean()
        accuracy = (probabilities.argmax(axis=1) == y).mean()
        values = fitted["loss"][0], fitted["accuracy"][0], loss, accuracy
        for column, value in zip(self.history.values(), values, strict=True):
            column.append(float(value))
        if self.best_epoch == self.epoch:
            self.best = self.model.get_weights()
        if self.path is not None:
            _write(self.path, lambda stream: np.savez(stream, **self._state()))

    def _state(self):
        state = {"label": self.label, "history": list(self.history.values())}
        variables = [variable.numpy() for variable in self.model.optimizer.variables]
        for name, arrays in {"weights": self.model.get_weights(), "best": self.best, "optimizer": variables}.items():
            state.update({f"{name}{i}": array for i, array in enumerate(arrays)})
        return state

    def _resume(self):
        try:
            with np.load(self.path, allow_pickle=False) as file:
                state = dict(file)
        except Exception as error:  # a damaged archive fails in many ways
            raise ValueError(f"checkpoint {self.path} cannot be read ({error}); delete it to start anew") from error
        if str(state.get("label")) != self.label:
            raise ValueError(f"checkpoint {self.path} is of '{state.get('label')}', not of '{self.label}'; delete it")
        count = len(self.model.get_weights())
        self.model.set_weights([state[f"weights{i}"] for i in range(count)])
        self.best = [state[f"best{i}"] for i in range(count)]
        for i, variable in enumerate(self.model.optimizer.variables):
            variable.assign(state[f"optimizer{i}"])
        self.history = dict(zip(self.history, state["history"].tolist(), strict=True))
