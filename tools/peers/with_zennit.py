"""zennit's relevance propagation on a PyTorch twin of the network (twin.py)."""

from tools.peers import operators  # noqa: F401 - before zennit

# isort: split
import torch
from torch import nn
from zennit import composites, rules
from zennit.attribution import Gradient
from zennit.types import Convolution, Linear

from tools.peers.twin import Mean, is_padded, padded_inside, to_numpy, to_torch, twin

PACKAGE, BACKEND = "zennit", "torch"
TINY = 1e-9  # its epsilon and its stabiliser: next to nothing
WEIGHTS = (Linear, Convolution)


def parts(case):
    """The twin with its padding inside the convolutions, the inputs (N, C, ...) and their classes."""
    network = case.once("padded twin", lambda: padded_inside(twin(case.network())))
    return network, to_torch(case.inputs), torch.from_numpy(case.targets.astype("int64"))


def composite(below, above):
    """One rule for the first layer of weights, one for the others; averages and sums share in proportion."""
    base = [(kind, rule) for kind, rule in composites.layer_map_base(TINY) if kind not in WEIGHTS]
    base.append((Mean, rules.Norm(stabilizer=TINY)))
    return composites.SpecialFirstLayerMapComposite(layer_map=[*base, (WEIGHTS, above)], first_map=[(WEIGHTS, below)])


def with_mean(made):
    """One of its own composites, and the rule of an average for ours."""
    return composites.MixedComposite([composites.LayerMapComposite([(Mean, rules.Norm(stabilizer=TINY))]), made])


def lrp(case, made):
    network, x, targets = parts(case)

    def run():
        with Gradient(model=network, composite=made) as attributor:
            eye = torch.eye(classes(network))[targets]
            return to_numpy(attributor(x.clone().requires_grad_(), lambda output: output * eye)[1])

    return run


def classes(network):
    """How many scores it has."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1].out_features


def rule(name, box=(0, 1)):
    options = {"stabilizer": TINY}
    return {
        "epsilon": lambda: rules.Epsilon(epsilon=TINY),
        "z_plus": lambda: rules.ZPlus(**options),
        "gamma": lambda: rules.Gamma(gamma=0.25, **options),
        "alpha_beta": lambda: rules.AlphaBeta(alpha=2, beta=1, **options),
        "without_biases": lambda: rules.AlphaBeta(alpha=2, beta=1, zero_params="bias", **options),
        "flat": lambda: rules.Flat(**options),
        "w_square": lambda: rules.WSquare(**options),
        "w_square_without_biases": lambda: rules.WSquare(zero_params="bias", **options),
        "z_box": lambda: rules.ZBox(low=box[0], high=box[1], **options),
    }[name]()


TINIES = {"epsilon": TINY, "stabilizer": TINY}
EVERYWHERE = ("epsilon", "z_plus", "gamma", "alpha_beta", "without_biases")
COMPOSITES = {
    "epsilon_plus": lambda _: composites.EpsilonPlus(**TINIES),
    "epsilon_alpha2_beta1": lambda _: composites.EpsilonAlpha2Beta1(**TINIES),
}
BELOW = {  # what counts padding where that is a layer of its own
    "epsilon_plus_flat": lambda _: composites.EpsilonPlusFlat(**TINIES),
    "epsilon_gamma_box": lambda box: composites.EpsilonGammaBox(low=box[0], high=box[1], **TINIES),
    "z_box": lambda box: composite(rule("z_box", box), rule("z_plus")),
}


def answers(case):
    torch.set_num_threads(1)
    network, names, made = parts(case)[0], EVERYWHERE, COMPOSITES
    if not is_padded(network):
        names += ("flat", "w_square", "w_square_without_biases")
    if not is_padded(network[:1] if isinstance(network, nn.Sequential) else network):
        made = made | BELOW
    runs = {name: lrp(case, composite(rule(name), rule(name))) for name in names}
    runs |= {name: lrp(case, with_mean(make(case.box))) for name, make in made.items()}
    return {key: run() for key, run in runs.items()}


METHODS = {"lrp": lambda case, _: lrp(case, with_mean(COMPOSITES["epsilon_plus"](case.box)))}
METHODS |= {
    f"lrp {name}": lambda case, _, name=name: lrp(case, composite(rule(name), rule(name)))
    for name in ("epsilon", "z_plus", "gamma", "alpha_beta")
}
