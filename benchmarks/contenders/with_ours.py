"""Our methods, as a user calls them; coarse maps are enlarged by the plain stretch, as the others do it."""

import numpy as np

import xai_utils as xu
from benchmarks.contenders.converging import FINE, by_rule, steps_needed, trapezoid
from benchmarks.contenders.raw import gradient_function
from tools.peers.case import BATCH, NOISE


def method(name, **names):
    """A maker: options are fixed values, or functions of the case and the amount."""

    def make(case, amount):
        model, function = case.network("model"), getattr(xu, name)
        options = {key: value(case, amount) if callable(value) else value for key, value in names.items()}
        return lambda: function(model, case.inputs, case.targets, **options)

    return make


def the_amount(_, amount):
    return amount


def layer(case, _):
    return case.layer


def fill(case, _):
    return case.fill


def curve(name):
    def make(case, steps):
        model, function, options = case.network("model"), getattr(xu, name), {"steps": steps, "fill": "zero"}
        maps = case.relevance
        return lambda: xu.area_under_curve(function(model, case.inputs, maps, case.targets, **options)).mean()

    return make


def nodes_needed(case, _):
    """Steps that the rules of other libraries need for a converged map, per input; leaves steps.npz in the folder."""
    logits = case.network()
    run = gradient_function(logits)
    found = []
    for x, target in zip(case.inputs, case.targets, strict=True):
        gradients = path_gradients(run, x, target)
        change = float((logits(x[None]) - logits(0 * x[None]))[0, target])
        reference = x * trapezoid(gradients)
        needed = {name: steps_needed(maps, reference, change) for name, maps in by_rule(x, gradients).items()}
        found.append(needed | {"references": reference, "changes": change})
    arrays = {name: np.array([one[name] for one in found]) for name in found[0]}
    np.savez(case.folder / "steps.npz", **arrays)
    return lambda: arrays["references"]


def path_gradients(run, x, target):
    nodes = np.arange(FINE + 1, dtype="float32") / FINE
    classes = np.full(BATCH, target, np.int32)
    parts = [nodes[start : start + BATCH] for start in range(0, len(nodes), BATCH)]
    return np.concatenate(
        [run((part.reshape(-1, *[1] * x.ndim) * x).astype("float32"), classes[: len(part)]) for part in parts]
    )


def extremal(case, steps):
    """Masks (N, areas, H, W) of the areas that TorchRay's have, picture by picture as there; hidden is 0."""
    model, areas = case.network("model"), theirs(case).mean(axis=(2, 3), dtype=np.float64)

    def one(x, target, wanted):
        found = xu.extremal_perturbation(model, x[None], [target], areas=wanted, reference=0.0, steps=steps)
        return found.masks[0][np.searchsorted(found.areas, wanted)]

    return lambda: np.stack([one(*each) for each in zip(case.inputs, case.targets, areas, strict=True)])


def theirs(case):
    return np.load(case.folder / "extremal-torchray.npy")[: len(case.inputs)]


def extremal_shares(case, _):
    """(S_c(m x) - S_c(0)) / |S_c(x) - S_c(0)| of TorchRay's masks and of ours: (2, N, areas)."""
    both = np.stack([theirs(case), np.load(case.folder / "extremal-ours.npy")])
    model, targets = case.network("model"), np.broadcast_to(case.targets[:, None], both.shape[:3]).ravel()

    def logits(inputs, targets=case.targets):
        return xu.scores(model, inputs.astype(np.float32), targets, score="logit")

    def run():
        whole, nothing = logits(case.inputs), logits(0 * case.inputs)
        points = (both[..., None] * case.inputs[:, None]).reshape(-1, *case.inputs.shape[1:])
        shown = logits(points, targets).reshape(both.shape[:3])
        return (shown - nothing[:, None]) / np.abs(whole - nothing)[:, None]

    return run


METHODS = {
    "saliency": method("saliency"),
    "smooth_grad": method("smooth_grad", samples=the_amount, noise=NOISE),
    "integrated_gradients": method("integrated_gradients", steps=the_amount),
    "converged": method("integrated_gradients"),
    "doubled": method("integrated_gradients"),
    "nodes needed": nodes_needed,
    "grad_cam": method("grad_cam", layer=layer, align="stretch"),
    "score_cam": method("score_cam", layer=layer, align="stretch"),
    "ablation_cam": method("ablation_cam", layer=layer, align="stretch"),
    "occlusion": method(
        "occlusion",
        patch=lambda case, _: tuple(case.patch.tolist()),
        stride=lambda case, _: tuple(case.stride.tolist()),
        fill=fill,
    ),
    "rise": method("rise", masks=the_amount),
    "lime": method("lime", segments=lambda case, _: case.segments, samples=the_amount, fill=fill),
    "deletion": curve("deletion_curve"),
    "insertion": curve("insertion_curve"),
    **{f"lrp {rule}": method("lrp", rule=rule) for rule in ("epsilon", "z_plus", "gamma", "alpha_beta")},
    "meaningful_perturbation": method("meaningful_perturbation", steps=the_amount),
    "extremal_perturbation": method("extremal_perturbation", steps=the_amount),
    "extremal": extremal,
    "extremal shares": extremal_shares,
}
