"""Integrated Gradients to 1 %: how many steps a library's rule needs for it, told beforehand or found by doubling.

`path(case)` of a library returns run(item, steps), the map of one input.
"""

import numpy as np

FINE = 1440  # steps of the reference, with many divisors
LADDER = tuple(steps for steps in range(4, FINE // 2 + 1) if FINE % steps == 0)
TOLERANCE = 0.01
RULES = {"xplique": "trapezoid", "captum": "midpoint", "saliency": "all_alike"}


def methods(path, rule):
    """The two ways as makers(case, amount); steps.npz in the case's folder says what they must know."""

    def converged(case, _):
        """The smallest steps of its rule that reach 1 %, input by input."""
        run, steps = path(case), of_reference(case, rule)
        return lambda: np.stack([run(item, count) for item, count in enumerate(steps)])

    def until_converged(case, _):
        run, changes = path(case), of_reference(case, "changes")
        return lambda: np.stack(
            [doubled(lambda steps, item=item: run(item, steps), change) for item, change in enumerate(changes)]
        )

    return {"converged": converged, "doubled": until_converged}


def of_reference(case, name):
    with np.load(case.folder / "steps.npz") as arrays:
        return arrays[name][: len(case.inputs)]


def steps_needed(maps, reference, change):
    """The smallest number of steps whose map has gap and distance from the reference within 1 %.

    `maps`: steps -> map of one input; `change` is S(x) - S(x'), which a complete map adds up to.
    """
    for steps, found in sorted(maps.items()):
        gap = abs(found.sum() - change) / abs(change)
        if gap <= TOLERANCE and np.abs(found - reference).sum() <= TOLERANCE * np.abs(reference).sum():
            return steps
    return max(maps)


def doubled(of_steps, change):
    """Steps 8, 16, 32, ... until gap and change of the map are within 1 %, as without a reference; all count."""
    steps, before = 8, of_steps(8)
    while steps < 512:
        steps *= 2
        found = of_steps(steps)
        gap = abs(found.sum() - change) / abs(change)
        if gap <= TOLERANCE and np.abs(found - before).sum() <= TOLERANCE * np.abs(found).sum():
            break
        before = found
    return found


def by_rule(x, gradients):
    """Rule -> number of nodes -> map: gradients at k / FINE hold the nodes of rules whose steps divide FINE."""
    rules = {"midpoint": {}, "trapezoid": {}, "all_alike": {}}
    for steps in LADDER:
        apart = FINE // steps
        nodes = gradients[::apart]
        rules["trapezoid"][len(nodes)] = x * trapezoid(nodes)
        rules["all_alike"][len(nodes)] = x * nodes.mean(axis=0, dtype=np.float64)
        if apart % 2 == 0:
            rules["midpoint"][steps] = x * gradients[apart // 2 :: apart].mean(axis=0, dtype=np.float64)
    return rules


def trapezoid(nodes):
    return (nodes.sum(axis=0, dtype=np.float64) - (nodes[0] + nodes[-1]) / 2) / (len(nodes) - 1)
