"""Relevance propagation without the package: every layer is its explicit matrix, every rule a loop over its neurons.

The matrix of a layer is what its copy in float64 answers to unit vectors, less what it answers to zeros, its bias. A
rule says which share of a neuron's relevance each input takes, from the inputs a, the weights w and the bias b of that
one neuron. Sums and averages share in proportion, under z_plus by the positive parts; activations pass; a maximum goes
to its winner; a gate is a constant.
"""

from dataclasses import dataclass

import keras
import numpy as np

PASS = ("InputLayer", "Dropout", "Identity", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")
MOVES = ("Flatten", "Reshape", "Permute", "ZeroPadding", "Cropping", "UpSampling")  # each number from one place
POOLS = ("AveragePooling", "GlobalAveragePooling", "Average", "Add")
RANKS = ("1D", "2D", "3D")


@dataclass(frozen=True)
class Options:
    """What a rule may need beside the neuron."""

    epsilon: float = 0.0
    gamma: float = 0.25
    alpha: float = 2.0
    beta: float = 1.0
    low: float | None = None
    high: float | None = None
    bias: str = "split"

    def parts(self, b):
        """What stands in the denominators of the positive and of the negative parts."""
        return {"split": (max(b, 0), min(b, 0)), "whole": (b, b), "none": (0.0, 0.0)}[self.bias]

    def whole(self, b):
        return 0.0 if self.bias == "none" else b


# --- one neuron: the share that each of its inputs takes ---------------------------------------------------------


def ratio(parts, total):
    return parts / total if total != 0 else np.zeros_like(parts)


def epsilon(a, w, b, size, options):
    """a w / (z + epsilon sign z), epsilon in units of the root mean square of z in this layer."""
    z = a * w
    total = z.sum() + options.whole(b)
    return ratio(z, total + options.epsilon * size * (1 if total >= 0 else -1))


def alpha_beta(a, w, b, size, options):
    """alpha z+ / (sum z+ + b+) - beta z- / (sum z- + b-), the parts of the products z = a w."""
    positive, negative = np.maximum(a * w, 0), np.minimum(a * w, 0)
    above, below = options.parts(b)
    shares = options.alpha * ratio(positive, positive.sum() + above)
    return shares - options.beta * ratio(negative, negative.sum() + below) if options.beta else shares


def z_plus(a, w, b, size, options):
    positive = np.maximum(a * w, 0)
    return ratio(positive, positive.sum() + options.parts(b)[0])


def gamma(a, w, b, size, options):
    """Whatever pushes the neuron to the side where it is counts 1 + gamma times."""
    z = a * w
    side = 1 if z.sum() + options.whole(b) >= 0 else -1
    favoured = lambda part: part + options.gamma * (part if part * side > 0 else 0)  # noqa: E731
    z = np.array([favoured(part) for part in z])
    bias = {"split": favoured(b), "whole": b, "none": 0.0}[options.bias]
    return ratio(z, z.sum() + bias)


def z_box(a, w, b, size, options):
    """a w - low w+ - high w-: the bias cancels."""
    low, high = (np.broadcast_to(bound, np.shape(a)) for bound in (options.low, options.high))
    z = a * w - low * np.maximum(w, 0) - high * np.minimum(w, 0)
    return ratio(z, z.sum())


def w_square(a, w, b, size, options):
    return ratio(w**2, (w**2).sum())


RULES = {
    "epsilon": epsilon,
    "z_plus": z_plus,
    "alpha_beta": alpha_beta,
    "gamma": gamma,
    "z_box": z_box,
    "w_square": w_square,
}


# --- one layer ---------------------------------------------------------------------------------------------------


@dataclass
class Weighted:
    """z = a W + b of flat arrays; `joined` says which inputs a neuron reads, padding not among them."""

    name: str
    kind: str
    W: np.ndarray  # (inputs, outputs)
    b: np.ndarray  # (outputs,)
    joined: np.ndarray  # (inputs, outputs) of bool

    def forward(self, a):
        return a @ self.W + self.b

    def back(self, a, R, rule, options):
        """The relevance of the inputs: a loop over the neurons."""
        z = a @ self.W + (0 if options.bias == "none" else self.b)
        size, found = np.sqrt(np.mean(z**2)), np.zeros_like(a)
        for k in range(len(R)):
            read = self.joined[:, k]
            if rule == "flat":
                found[read] += R[k] / read.sum()
            else:
                bounds = _bounds_of(options, read) if rule == "z_box" else options
                found[read] += R[k] * RULES[rule](a[read], self.W[read, k], self.b[k], size, bounds)
        return found

    def normalised(self, scale, shift):
        """The same neurons after z -> z * scale + shift."""
        return Weighted(self.name, self.kind, self.W * scale, self.b * scale + shift, self.joined)


def _bounds_of(options, read):
    """The bounds of the inputs that a neuron reads, where they differ from input to input."""
    if np.ndim(options.low) == 0:
        return options
    return Options(**{**options.__dict__, "low": options.low[read], "high": options.high[read]})


def kind_of(layer):
    name = type(layer).__name__
    return name[:-2] if name.endswith(RANKS) else name


def copy_in_float64(layer, shapes):
    """The same layer with float64 numbers, and without the activation that follows its weights."""
    config = layer.get_config() | {"dtype": "float64", "name": f"{layer.name}_in_float64"}
    if "activation" in config and layer.weights:
        config["activation"] = None
    made = type(layer).from_config(config)
    made.build(shapes)
    made.set_weights([np.asarray(each, np.float64) for each in layer.get_weights()])
    return made


def weighted(layer, shapes):
    """The explicit matrix of a layer that reads one tensor (1, ...) of this shape."""
    made, side = copy_in_float64(layer, shapes), int(np.prod(shapes[1:]))
    units = np.concatenate([np.zeros((1, side)), np.eye(side)]).reshape(-1, *shapes[1:])
    answer = lambda: np.asarray(made(units), np.float64).reshape(side + 1, -1)  # noqa: E731
    found = answer()
    W, b = found[1:] - found[0], found[0]
    if kind_of(layer) == "BatchNormalization":
        return Weighted(layer.name, "BatchNormalization", W, b, np.eye(side) > 0)
    for variable in made.weights:
        variable.assign(np.full(variable.shape, 0.0 if "bias" in variable.name else 1.0))
    return Weighted(layer.name, kind_of(layer), W, b, answer()[1:] != 0)


def in_two(layer, shape):
    """A separable convolution as the two it consists of: one kernel for each channel, then a mixture of channels."""
    config, rank = layer.get_config(), len(layer.kernel_size)
    names = ("strides", "padding", "dilation_rate", "depth_multiplier")
    deep, point = (getattr(keras.layers, f"{name}Conv{rank}D") for name in ("Depthwise", ""))
    inputs = keras.Input(shape[1:])
    first = deep(layer.kernel_size, use_bias=False, name=layer.name, **{name: config[name] for name in names})
    last = point(layer.filters, 1, activation=layer.activation, use_bias=layer.use_bias, name=f"{layer.name}_mixed")
    model = keras.Model(inputs, last(first(inputs)))
    model.set_weights(layer.get_weights())
    return model


def addition(layer, side, terms):
    """Terms of `side` numbers, one after the other, added up (or averaged)."""
    W = np.tile(np.eye(side), (terms, 1)) / (terms if kind_of(layer) == "Average" else 1)
    return Weighted(layer.name, kind_of(layer), W, np.zeros(side), W != 0)


# --- a network ---------------------------------------------------------------------------------------------------


class Network:
    """One example of a functional or sequential network, taken apart: `values` by number, `steps` in order.

    A step is (sources, sink, what): what is a `Weighted`, an array of the winners, or None where relevance passes.
    """

    def __init__(self, model, item, fold=True):
        self.values, self.steps, self.fold = [], [], fold
        self.inputs, self.named = [self._value(np.asarray(item, np.float64)[None])], {}
        (self.output,) = self._run(model, self.inputs)

    def _value(self, array):
        self.values.append(array)
        return len(self.values) - 1

    def _run(self, model, sources):
        model = getattr(model, "_functional", model)
        known = dict(zip(map(id, model.inputs), sources, strict=True))
        nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
        reads = [id(tensor) for node in nodes if not node.is_input for tensor in node.arguments.keras_tensors]
        reads += [id(tensor) for tensor in model.outputs]
        for node in nodes:
            if node.is_input:
                continue
            tensors = node.arguments.keras_tensors
            places, alone = [known[id(tensor)] for tensor in tensors], reads.count(id(tensors[0])) == 1
            inner = isinstance(node.operation, keras.Model)
            found = self._run(node.operation, places) if inner else [self._apply(node.operation, places, alone)]
            known.update(zip(map(id, node.outputs), found, strict=True))
            self.named[node.operation.name] = found[0]
        return [known[id(tensor)] for tensor in model.outputs]

    def _step(self, sources, what, array):
        self.steps.append((sources, self._value(array), what))
        return len(self.values) - 1

    def _apply(self, layer, sources, alone):
        """The number of the value that this layer makes of those."""
        kind, arrays = kind_of(layer), [self.values[source] for source in sources]
        if kind in PASS:
            return self._step(sources, None, np.asarray(copy_in_float64(layer, arrays[0].shape)(arrays[0])))
        if kind in (*MOVES, "MaxPooling", "GlobalMaxPooling"):
            places = _places(copy_in_float64(layer, arrays[0].shape), arrays[0])
            taken = np.append(arrays[0].ravel(), 0)[places]
            return self._step(sources, places, taken)
        if kind == "Concatenate":
            return self._step(sources, layer.axis, np.concatenate(arrays, layer.axis))
        if kind == "Multiply":
            return self._step(sources[:1], None, arrays[0] * arrays[1])
        if kind in ("Add", "Average"):
            what = addition(layer, arrays[0].size, len(arrays))
            flat = np.concatenate([array.ravel() for array in arrays])
            return self._step(sources, what, what.forward(flat).reshape(arrays[0].shape))
        if kind == "BatchNormalization" and self.fold and alone and (before := self._weights_of(sources[0])):
            return self._folded(layer, before)
        if kind == "SeparableConv":
            return self._run(in_two(layer, arrays[0].shape), sources)[0]
        what = weighted(layer, arrays[0].shape)
        shape = layer.compute_output_shape(arrays[0].shape)
        sink = self._step(sources, what, what.forward(arrays[0].ravel()).reshape(shape))
        activation = getattr(layer, "activation", None)
        if activation in (None, keras.activations.linear):
            return sink
        return self._step([sink], None, np.asarray(activation(self.values[sink])))

    def _weights_of(self, source):
        """The step in which a layer with a kernel has made this value, if one has."""
        for step in self.steps:
            if step[1] == source and isinstance(step[2], Weighted):
                return None if step[2].kind in (*POOLS, "BatchNormalization") else step

    def _folded(self, layer, step):
        """The same step with the normalisation in its weights."""
        self.steps = [other for other in self.steps if other is not step]
        (start,), sink, before = step
        shape = self.values[sink].shape
        norm = weighted(layer, shape)
        what = before.normalised(np.diag(norm.W), norm.b)
        return self._step([start], what, what.forward(self.values[start].ravel()).reshape(shape))

    def relevance(self, target, rule, options, start=None):
        """The relevance of every value, by number; `rule` is a name, or a function from a `Weighted` to a name.

        It starts with the score, or with the relevance `start` = (number, array) of an inner value.
        """
        R = [np.zeros(value.shape) for value in self.values]
        if start is None:
            R[self.output][0, target] = self.values[self.output][0, target]
        else:
            R[start[0]][:] = start[1]
        for sources, sink, what in reversed(self.steps):
            of_sources = [self.values[source] for source in sources]
            for source, part in zip(sources, _back(what, of_sources, R[sink], rule, options), strict=True):
                R[source] += part
        return R

    def map(self, target, rule, options=None, at=None, through=None):
        """That of the input, or of the output of the layer `at`; `through` = (layer, channels): what these pass on."""
        options, start = Options() if options is None else options, None
        if through:
            place = self.named[through[0]]
            R = self.relevance(target, rule, options)[place]
            start = place, R * np.isin(np.arange(R.shape[-1]), through[1])
        return self.relevance(target, rule, options, start)[self.inputs[0] if at is None else self.named[at]][0]


def _places(layer, array):
    """The flat position in `array` of each number that the layer hands on, the first of equal ones; -1 where none."""
    order = np.lexsort((-np.arange(array.size), array.ravel()))
    rank = np.empty(array.size)
    rank[order] = np.arange(1, array.size + 1)
    return np.append(-1, order)[np.asarray(layer(rank.reshape(array.shape))).astype(int)]


def _back(what, arrays, R, rule, options):
    """The relevance of each source of a step."""
    if what is None:
        return [R.reshape(arrays[0].shape)]
    if isinstance(what, int):
        return np.split(R, np.cumsum([array.shape[what] for array in arrays])[:-1], what)
    if isinstance(what, np.ndarray):
        found = np.zeros(arrays[0].size + 1)
        np.add.at(found, what.ravel(), R.ravel())
        return [found[:-1].reshape(arrays[0].shape)]
    name = rule if isinstance(rule, str) else rule(what)
    name = "epsilon" if what.kind in POOLS and name != "z_plus" else name
    found = what.back(np.concatenate([array.ravel() for array in arrays]), R.ravel(), name, options)
    return [part.reshape(array.shape) for part, array in zip(np.split(found, len(arrays)), arrays, strict=True)]
