"""Mutants of the sanity checks: orders and draws of random weights, likeness of maps, the floors."""

from mutant_groups.modules import RANDOMISATION, SANITY
from mutant_groups.mutant import group

GROUPS = {
    "sanity": group(
        "test_sanity.py", "",
        (RANDOMISATION, 'layers if order == "bottom_up" else reversed(layers)', "reversed(layers)"),
        (RANDOMISATION, 'if order == "independent":', "if False:"),
        (RANDOMISATION, 'if order == "independent":', "if True:"),
        (RANDOMISATION, 'begun = {} if draws == "shuffle" else', "begun = {} if True else"),
        (RANDOMISATION, 'from_config(config | {"seed": int(generator.integers(2**31))})', "from_config(config)"),
        (RANDOMISATION, 'from_config(config | {"seed": int(generator.integers(2**31))})', 'from_config(config | {"seed": 0})'),
        (RANDOMISATION, 'weight.name.removesuffix("_kernel")', "weight.name"),
        (RANDOMISATION, "max(1, min(8, min(one.shape[1:]) // 8))", "max(1, min(one.shape[1:]))"),
        (RANDOMISATION, "orientations=9", "orientations=8"),
        (RANDOMISATION, "np.histogram(each, bins)[0]", "np.histogram(each)[0]"),
        (RANDOMISATION, "np.divide(other - one, one,", "np.divide(one - other, one,"),
        (RANDOMISATION, "np.divide(other - one, one,", "np.divide(other - one, other,"),
        (SANITY, "order=order, draws=draws, seed=seed)", "order=order, draws=draws)"),
        (SANITY, "order=order, draws=draws, seed=seed)", "order=order, seed=seed)"),
        (SANITY, "order=order, draws=draws, seed=seed)", "draws=draws, seed=seed)"),
        (SANITY, "if theirs != ours:", "if False:"),
        (SANITY, "method(network, query.inputs, query.targets, batch_size", "method(network, query.inputs, None, batch_size"),
        (SANITY, "method(network, query.inputs,", "method(model, query.inputs,"),
        (SANITY, "whole = maps if whole is None else whole", "whole = maps"),
        (SANITY, "scores(network, query.inputs, query.targets,", "scores(model, query.inputs, query.targets,"),
        (SANITY, "scores(network, query.inputs, query.targets,", "scores(network, query.inputs, None,"),
        (SANITY, "measure(np.abs(whole), np.abs(maps))", "measure(whole, maps)"),
        (SANITY, "randomisation.entropy_rise(whole, maps)", "randomisation.entropy_rise(maps, whole)"),
        (SANITY, "width = noise * (x.max(axis=axes, keepdims=True) - x.min(axis=axes, keepdims=True))", "width = noise * (x.max() - x.min())"),
        (SANITY, "generator.standard_normal(x.shape[1:])", "generator.uniform(-1, 1, x.shape[1:])"),
        (SANITY, "generator.standard_normal(x.shape[1:])", "generator.standard_normal(x.shape)"),
        (SANITY, "method(model, near, query.targets,", "method(model, near, None,"),
        (SANITY, "(total / samples)", "total"),
        (SANITY, "np.random.default_rng([seed, weights, zlib.crc32(one.tobytes())])", "np.random.default_rng([seed, weights])"),
        (SANITY, "np.random.default_rng([seed, weights, zlib.crc32(one.tobytes())])", "np.random.default_rng([seed, zlib.crc32(one.tobytes())])"),
        (SANITY, "np.random.default_rng([seed, weights, zlib.crc32(one.tobytes())])", "np.random.default_rng([weights, zlib.crc32(one.tobytes())])"),
    ),
}  # fmt: skip
