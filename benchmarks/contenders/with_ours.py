"""Our methods, as a user calls them."""

import numpy as np

import xai_utils as xu
from benchmarks.contenders.case import BATCH, FINE, LADDER, NOISE, STEPS, steps_needed
from benchmarks.contenders.raw import METHODS as RAW
from benchmarks.contenders.raw import gradient_function

PACKAGE = None


def method(name, **names):
    """A maker: options are fixed values, or functions of the case and the amount."""

    def make(case, setting):
        n, model = setting["n"], case.network("model")
        options = {key: value(case, setting) if callable(value) else value for key, value in names.items()}
        function = getattr(xu, name)
        return lambda: function(model, case.inputs(n), case.targets(n), **options)

    return make


def amount(_, setting):
    return setting["amount"]


def layer(case, _):
    return case.layer


def fill(case, _):
    return case.fill


def curve(name):
    def make(case, setting):
        n, model, function = setting["n"], case.network("model"), getattr(xu, name)
        maps, options = case.arrays["relevance"][:n], {"steps": STEPS, "fill": "zero"}
        return lambda: xu.area_under_curve(function(model, case.inputs(n), maps, case.targets(n), **options)).mean()

    return make


def nodes_needed(case, setting):
    """Steps that the rules of other libraries need for a converged map, per input; leaves steps.npz in the folder."""
    n, logits = setting["n"], case.network()
    run = gradient_function(logits)
    found = []
    for x, target in zip(case.inputs(n), case.targets(n), strict=True):
        gradients = path_gradients(run, x, target)
        change = float((logits(x[None]) - logits(0 * x[None]))[0, target])
        reference = x * _trapezoid(gradients)
        needed = {name: steps_needed(maps, reference, change) for name, maps in by_rule(x, gradients).items()}
        found.append(needed | {"references": reference, "changes": change})
    arrays = {name: np.array([one[name] for one in found]) for name in found[0]}
    np.savez(case.folder / "steps.npz", **arrays)
    return lambda: arrays["references"]


def by_rule(x, gradients):
    """Rule -> number of nodes -> map: gradients at k / FINE hold the nodes of rules whose steps divide FINE."""
    rules = {"midpoint": {}, "trapezoid": {}, "all_alike": {}}
    for steps in LADDER:
        apart = FINE // steps
        nodes = gradients[::apart]
        rules["trapezoid"][len(nodes)] = x * _trapezoid(nodes)
        rules["all_alike"][len(nodes)] = x * nodes.mean(axis=0, dtype=np.float64)
        if apart % 2 == 0:
            rules["midpoint"][steps] = x * gradients[apart // 2 :: apart].mean(axis=0, dtype=np.float64)
    return rules


def _trapezoid(nodes):
    return (nodes.sum(axis=0, dtype=np.float64) - (nodes[0] + nodes[-1]) / 2) / (len(nodes) - 1)


def path_gradients(run, x, target):
    nodes = np.arange(FINE + 1, dtype="float32") / FINE
    classes = np.full(BATCH, target, np.int32)
    parts = [nodes[start : start + BATCH] for start in range(0, len(nodes), BATCH)]
    return np.concatenate(
        [run((part.reshape(-1, *[1] * x.ndim) * x).astype("float32"), classes[: len(part)]) for part in parts]
    )


METHODS = RAW | {
    "saliency": method("saliency"),
    "smooth_grad": method("smooth_grad", samples=amount, noise=NOISE),
    "integrated_gradients": method("integrated_gradients", steps=amount),
    "converged": method("integrated_gradients"),
    "doubled": method("integrated_gradients"),
    "nodes needed": nodes_needed,
    "grad_cam": method("grad_cam", layer=layer),
    "score_cam": method("score_cam", layer=layer),
    "ablation_cam": method("ablation_cam", layer=layer),
    "occlusion": method(
        "occlusion", patch=lambda case, _: case.window[0], stride=lambda case, _: case.window[1], fill=fill
    ),
    "rise": method("rise", masks=amount),
    "lime": method(
        "lime", segments=lambda case, setting: case.arrays["segments"][: setting["n"]], samples=amount, fill=fill
    ),
    "deletion": curve("deletion_curve"),
    "insertion": curve("insertion_curve"),
}
