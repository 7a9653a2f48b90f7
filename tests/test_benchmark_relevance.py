"""The benchmark of rules and learned masks: its page by hand, the passes that it counts, the scores of given masks."""

import numpy as np
import pytest

import mnist1d_utils as m1
import xai_utils as xu
from benchmarks import cases, relevance, relevance_page
from benchmarks.contenders.worker import Worker
from heatproof.engine.counting import counting
from tools.environment import ROOT
from tools.peers.making import flatten_network

VGG7 = {"network": "vgg7_150", "n": 8}


def row(part, method, contender, seconds, **others):
    return VGG7 | {"part": part, "method": method, "contender": contender, "seconds": seconds} | others


def rules():
    """The gradient takes 1 and 2 s, each rule k times as long; the libraries four and twice as long as ours."""
    rows = [row("rules", "saliency", "ours", [1.0, 2.0])]
    for times, rule in zip((1.5, 2.0, 6.0, 3.0), relevance.RULES, strict=True):
        name = f"lrp {rule}"
        rows += [row("rules", name, "ours", [times, 2 * times]), row("peers", name, "ours", [times, times])]
        rows.append(row("peers", name, "zennit", [4 * times, 4 * times]))
        if rule != "gamma":
            rows.append(row("peers", name, "innvestigate", [times / 2, times / 2]))
        rows.append(row("memory", name, "ours", [], bytes=int(10 * times)))
    return [*rows, row("memory", "saliency", "ours", [], bytes=10)]


def test_a_rule_is_a_multiple_of_the_gradient_and_what_misses_is_bold():
    head, _, *lines = relevance_page.rules_table(rules()).splitlines()
    assert head.startswith("| network | rule | N | times the gradient | ours / iNNvestigate | ours / zennit | memory |")
    cells = [line.strip("| ").split(" | ") for line in lines]
    half, twice = "0.25 [0.25, 0.25]", "**2.00 [2.00, 2.00]**"
    assert cells == [
        ["VGG-7, 150 px", "epsilon", "8", "1.50 [1.50, 1.50]", twice, half, "1.50"],
        ["VGG-7, 150 px", "z_plus", "8", "2.00 [2.00, 2.00]", twice, half, "2.00"],
        ["VGG-7, 150 px", "gamma", "8", "**6.00 [6.00, 6.00]**", "-", half, "**6.00**"],
        ["VGG-7, 150 px", "alpha_beta", "8", "3.00 [3.00, 3.00]", twice, half, "**3.00**"],
    ]


def test_masks_show_the_share_of_their_passes_and_torchray_is_compared_at_equal_area():
    times = {"ours": [4.0], "floor": [3.0]}
    masks = [row("masks", "extremal_perturbation", name, each, steps=9) for name, each in times.items()]
    areas = {"torchray": [[0.1, 0.2, 0.3, 0.4]] * 2, "ours": [[0.1, 0.2, 0.3, 0.5]] * 2}
    shares = {"torchray": [[0, 1, 2, 3], [2, 3, 4, 5]], "ours": [[0, 2, 2, 4], [1, 4, 4, 6]]}
    both = [
        row("torchray", "extremal", name, seconds, steps=9, areas=areas[name], shares=shares[name])
        for name, seconds in (("torchray", [4.0]), ("ours", [3.0]))
    ]
    machine = {"processor": "P", "cores": 2}
    found = {"load": 0.5, "minutes": 3.6, "machine": machine, "date": "2026-01-01", "versions": {"zennit": "1"}}
    text = relevance_page.section({"relevance": found | {"rows": [*rules(), *masks, *both]}})
    assert (
        "in about 4 minutes. 2026-01-01, P, 2\ncores; processes that waited for a core before: 0.5. zennit 1." in text
    )
    assert "| VGG-7, 150 px | extremal perturbation | 8 | 9 | 4 | 3 | **0.75 [0.75, 0.75]** |" in text
    assert "of 8 masks ours\nscores at least as high for 7. Time, ours / theirs: 0.75." in text
    assert text.rstrip().endswith("| 0.4 | 0.400 | 0.500 | 4.000 | 5.000 |")
    assert relevance_page.section({}) == ""


@pytest.fixture(scope="module")
def signals():
    """The signal network and two signals."""
    return xu.load_model(ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(count=20), "test")[0][:2]


@pytest.mark.filterwarnings("ignore")  # of few steps
@pytest.mark.parametrize("method", ["meaningful_perturbation", "extremal_perturbation"])
def test_the_passes_of_masks_are_those_that_are_made(method, signals):
    """Beside them, the scores of the inputs and of their references: four."""
    blends = 8 if method == "extremal_perturbation" else 2
    asked = relevance.Masks("mnist1d", method, 2, 40, blends)
    with counting() as passes:
        getattr(xu, method)(*signals, 1, steps=40)
    assert passes["backwards"] == 40 * blends
    assert 0 <= passes["forwards"] - (40 + asked.forwards) * blends <= 4


def test_the_scores_of_masks_are_shares_of_what_fading_takes_away(tmp_path):
    """A mask of ones keeps all, one of zeros nothing; halves are asked of the network itself."""
    model, inputs = flatten_network(), np.random.default_rng(1).random((4, 20, 16, 3), np.float32)
    cases.make(tmp_path / "flatten", model, inputs, (4, 2))
    masks = np.ones((2, 3, 20, 16), np.float32)
    masks[:, 1], masks[1, 2] = 0, 0.5
    for name, each in (("torchray", masks), ("ours", masks[:, ::-1])):
        np.save(tmp_path / "flatten" / f"extremal-{name}.npy", each)
    setting = {"network": "flatten", "method": "extremal shares", "n": 2, "amount": 0}
    theirs, ours = Worker("ours", tmp_path).build(setting)()
    points = [inputs[:2], 0 * inputs[:2], inputs[:2] / 2]
    whole, nothing, half = (xu.scores(model, each, predicted(model, inputs), score="logit") for each in points)
    share = (half - nothing)[1] / abs(whole - nothing)[1]
    sign = np.sign(whole - nothing)
    np.testing.assert_allclose(theirs, [[sign[0], 0, sign[0]], [sign[1], 0, share]], atol=1e-5)
    np.testing.assert_allclose(ours, theirs[:, ::-1], atol=1e-6)


def predicted(model, inputs):
    return np.asarray(model(inputs)).argmax(axis=-1)[:2]
