"""The way back of DeepLIFT: multipliers of differences, in place of derivatives, through every operation of a graph.

Sums, rearrangements and products with weights pass a difference on as the chain rule does. Every other operation has a
rule of its own in `heatproof.engine.differences`, or is refused by name: its derivative is no multiplier.
"""

import contextlib
import functools

import numpy as np
import tensorflow as tf

from heatproof.engine import differences
from heatproof.engine.counting import BOTH
from heatproof.engine.entries import MEASURES
from heatproof.engine.parts import behind
from heatproof.engine.places import CLASSES
from heatproof.engine.programs import program
from heatproof.engine.towards import only_towards
from heatproof.engine.ways import SHAPES, Ways
from heatproof.problems import ArgumentValueError

_MOVING = """Cast EnsureShape Identity Reshape Squeeze ExpandDims Transpose Concat ConcatV2 Pack Unpack Split SplitV
Slice StridedSlice Pad PadV2 MirrorPad Tile BroadcastTo GatherV2 GatherNd Roll ReverseV2 SpaceToBatchND
BatchToSpaceND SpaceToDepth DepthToSpace"""
_SUMMING = """Add AddV2 AddN Sub Neg BiasAdd Sum Mean Cumsum AvgPool AvgPool3D ResizeBilinear ResizeNearestNeighbor
ResizeBicubic"""
_LINEAR = {*_MOVING.split(), *_SUMMING.split()}
_PASSING = {"IdentityN", "StopGradient", "PreventGradient"}  # those that stand for a derivative of somebody's own
_WEIGHTED = {"Conv2D": 0, "Conv3D": 0, "DepthwiseConv2dNative": 0, "Conv2DBackpropInput": 2, "Conv3DBackpropInputV2": 2}
_WEIGHTED |= {"RealDiv": 0, "FusedBatchNorm": 0, "FusedBatchNormV2": 0, "FusedBatchNormV3": 0}
_PRODUCTS = {"Mul", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"}
_OF_ONE = """Relu Relu6 LeakyRelu Elu Selu Softplus Softsign Tanh Sigmoid Erf Erfc Exp Expm1 Log Log1p Square Sqrt Rsqrt
Reciprocal Inv Abs Sin Cos Atan Sinh Cosh Asinh ClipByValue"""
_OF_PAIRS = {"Mul", "RealDiv", "Maximum", "Minimum", "Pow", "SquaredDifference"}  # of two tensors, value by value
_SLOPED = {*_OF_ONE.split(), *_OF_PAIRS}
_POOLS = {"MaxPool", "MaxPool3D", "Max", "Min"}
CHAIN = "the chain rule"


def _rule(operation, carriers, steps):
    """How multipliers go back through an operation; None where nothing is known.

    `carriers` are the numbers of the inputs that carry the difference; `steps` says whether another input follows the
    inputs of the network all the same, in steps: a comparison, an index.
    """
    kind, alone = operation.type, len(carriers) == 1
    if kind in _PASSING:
        return differences.passed
    if kind in ("Select", "SelectV2"):
        return differences.choice if steps else CHAIN
    if kind in _LINEAR:
        return None if steps else CHAIN
    if alone and not steps and (kind in _PRODUCTS or carriers == (_WEIGHTED.get(kind),)):
        return None if _is_training(operation) else CHAIN
    if alone and kind in _SLOPED:
        return differences.slope
    if kind in _POOLS:
        return differences.winner if _has_plain_windows(operation) else None
    if kind in ("Softmax", "LogSoftmax"):
        return differences.softmax
    return None if alone else _rule_of_two(kind)


def _rule_of_two(kind):
    if kind in ("Maximum", "Minimum"):
        return differences.winner
    if kind == "RealDiv":
        return differences.quotient
    return differences.midpoint if kind in {*_PRODUCTS, "SquaredDifference"} - {"MatMul"} else None


def _is_training(operation):
    return operation.type.startswith("FusedBatchNorm") and operation.get_attr("is_training")


def _has_plain_windows(operation):
    if not operation.type.startswith("MaxPool"):
        return True
    return operation.get_attr("padding") != b"EXPLICIT" and operation.get_attr("data_format").endswith(b"C")


def _rules(start, end):
    """[(operation, the numbers of the inputs that carry the difference, its rule)] on the ways between two tensors."""
    ways, changing, axes, found = Ways(start, end), _changing(start, end), {start.name: 0}, []
    for operation in ways.operations:
        names = [tensor.name for tensor in operation.inputs]
        carriers = tuple(number for number, name in enumerate(names) if name in ways.names)
        steps = any(name in changing and name not in ways.names for name in names)
        rule = _rule(operation, carriers, steps)
        before = [axes[names[number]] for number in carriers]
        if rule not in (CHAIN, differences.passed) and not _is_in_rows(operation, carriers, before):
            rule = None
        found.append((operation, carriers, rule))
        axes |= dict.fromkeys((tensor.name for tensor in operation.outputs), _examples(operation, before))
    return found


def _changing(start, end):
    """The names of the tensors that depend on `start`, in steps too, but for sizes."""
    names = {start.name}
    for _, operation in sorted(behind([end]).items()):
        measures = operation.type in SHAPES | MEASURES
        if not measures and any(tensor.name in names for tensor in operation.inputs):
            names.update(tensor.name for tensor in operation.outputs)
    return names


def _examples(operation, before):
    """Along which axis of its output an operation has the examples, None where that is not known."""
    axis = before[0] if len(set(before)) == 1 else None
    if operation.type == "Transpose":
        order = tf.get_static_value(operation.inputs[1])
        return None if order is None or axis is None else order.tolist().index(axis)
    if operation.type == "BatchToSpaceND":
        return 0
    if operation.type == "Einsum" and axis == 0:
        read, given = operation.get_attr("equation").decode().split("->")
        return 0 if {each[:1] for each in read.split(",")} == {given[:1]} else None
    leads = operation.type in ("Pack", "Unpack") and operation.get_attr("axis") == 0
    moves = leads or operation.type == "SpaceToBatchND" or (operation.type == "Reshape" and axis != 0)
    return None if moves else axis


def _is_in_rows(operation, carriers, axes):
    """Whether the examples are the rows of what an operation reads, so that its halves are x and x'."""
    ranks = {operation.inputs[number].shape.rank for number in carriers}
    alike = ranks == {operation.outputs[0].shape.rank} or operation.type in _POOLS | _PRODUCTS - {"Mul"}
    if operation.type == "Einsum":
        return alike and set(axes) == {0} and _examples(operation, axes) == 0
    return alike and set(axes) == {0}


def check_rules(query):
    """Refuse a model with an operation that has no rule, by its name, before anything is computed."""
    if query.recipe.rule is not None:
        given = "a view whose ReLUs go back by another rule"
        raise ArgumentValueError("model", given, cure="pass the model that it is a view of")
    seen = query.anatomy
    _refuse(_rules(seen.inputs, seen.values if query.score.kind == "value" else seen.logits))


def _refuse(rules):
    unknown = {operation.type: operation.name for operation, _, rule in reversed(rules) if rule is None}
    if unknown:
        listed = ", ".join(f"{kind} ({name})" for kind, name in sorted(unknown.items()))
        given = f"one whose inputs reach the score through operations without a rule for differences, {listed}"
        raise ArgumentValueError("model", given, cure="xu.integrated_gradients, which needs derivatives alone")


@contextlib.contextmanager
def in_differences(tensor, score):
    """Inside, gradients of `score` for `tensor`, which holds pairs of rows, are multipliers."""
    rules = _rules(tensor, score)
    _refuse(rules)
    ruled = [each for each in rules if each[2] is not CHAIN]
    for operation, carriers, rule in ruled:
        operation._gradient_function = functools.partial(_back, rule, carriers)
    try:
        with only_towards(tensor, score):
            yield
    finally:
        for operation, *_ in ruled:  # another question wants derivatives
            operation._gradient_function = None


def _back(rule, carriers, operation, *gradients):
    return rule(operation, carriers, *gradients)


def multipliers(query, start):
    """m of each input against its x' in `start`, in their shape, and S_c(x) - S_c(x'), (N,).

    Two rows go through the network for each input.
    """

    def build(run, classes):
        scores = run.score(classes, query.score)
        rows = tf.shape(scores)[0] // 2
        m = run.differentiate(scores[:rows], run.inputs, in_differences)
        return m[:rows], scores[:rows] - scores[rows:]

    compiled = program(query.recipe, ("multipliers", query.score), build, CLASSES)

    def of_pairs(x, other, *told):
        return compiled(np.concatenate([x, other]), *(np.concatenate([each, each]) for each in told))

    arrays = (query.inputs, start, *query.told(None), query.classes_of())
    return query.batched(of_pairs, *arrays, passes=BOTH + BOTH, size=max(1, query.batch_size // 2))
