"""The benchmark's arithmetic against hand-worked values, its rounds, its verdicts and its page; never a wall clock."""

import json
import re
import sys

import keras
import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import bench, cases, driver, figures, first, goals, machine, page, plan, statistics
from benchmarks.contenders import converging
from benchmarks.contenders.worker import Worker
from heatproof.engine.counting import counting
from tools.environment import ROOT
from tools.peers.making import flatten_network

RESULTS = ROOT / "benchmarks" / "results.json"


def row(network, method, n, contender, seconds, **others):
    names = {"purpose": "table", "network": network, "method": method, "n": n, "amount": 0, "contender": contender}
    return names | {"seconds": seconds} | others


def results(*rows, **others):
    imports = {"tensorflow": [2.0, 2.2, 2.1], "xai_utils": [0.4, 0.2, 0.2]}
    machine = {"processor": "P", "cores": 2, "memory": "8 GiB", "system": "L", "python": "3", "tensorflow": "2"}
    about = {
        "machine": machine | {"keras": "3"},
        "date": "2026-01-01",
        "load": 0.1,
        "versions": {"ours": "this commit"},
    }
    return about | {"imports": imports, "left_out": [], "rows": list(rows)} | others


# --- statistics -------------------------------------------------------------------------------------------------


def test_a_constant_ratio_has_an_interval_without_width():
    """Paired rounds: when every round of ours takes half of theirs, every draw of rounds gives one half."""
    theirs = np.array([1.0, 2.0, 4.0, 7.0, 8.0])
    assert statistics.ratio(theirs / 2, theirs) == (0.5, 0.5, 0.5)


def test_paired_rounds_are_divided_before_the_median_is_taken():
    """1/2, 6/4, 5/10: the median is 1/2, where the medians 5 and 4 have the ratio 5/4."""
    assert statistics.ratio([1.0, 6.0, 5.0], [2.0, 4.0, 10.0])[0] == 0.5


def test_the_interval_of_a_ratio_is_what_the_draws_hold():
    """Ratios 1/4, 2/4, 3/4. Two of three rounds drawn alike decide the median: it is 1, 2, 3 with 7/27, 13/27, 7/27."""
    value, low, high = statistics.ratio([1.0, 2.0, 3.0], [4.0, 4.0, 4.0])
    assert (value, low, high) == (0.5, 0.25, 0.75)


def test_series_of_different_length_are_drawn_apart():
    value, low, high = statistics.ratio([1.0, 1.0, 1.0], [2.0])
    assert (value, low, high) == (0.5, 0.5, 0.5)


def test_an_empty_series_is_refused():
    with pytest.raises(ValueError, match="without rounds"):
        statistics.ratio([], [1.0])


def test_the_floor_counts_passes():
    """50 gradients at 3 ms: 150 ms; 10 masks at 1 ms: 10 ms."""
    np.testing.assert_allclose(statistics.floor(50, 50, [0.003]), [0.150])
    np.testing.assert_allclose(statistics.floor(10, 0, [0.001, 0.002]), [0.010, 0.020])
    with pytest.raises(ValueError, match="some|each"):
        statistics.floor(10, 5, [0.001])


def test_efficiency_is_the_share_of_raw_passes():
    assert statistics.efficiency([0.9, 0.9, 0.9], [1.0, 1.0, 1.0])[0] == pytest.approx(0.9)


def test_agreement_of_hand_made_maps():
    """Twice a map: apart by half of the largest, and in full correlation; its negative: in full anticorrelation."""
    maps = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    assert statistics.agreement(maps, 2 * maps) == pytest.approx((0.5, 1.0))
    assert statistics.agreement(maps, -maps)[1] == pytest.approx(-1)
    channels = np.stack([maps, maps], axis=-1)  # summed where the other has none
    assert statistics.agreement(channels, 2 * maps) == pytest.approx((0.0, 1.0))
    assert statistics.agreement(maps, maps[..., None]) == pytest.approx((0.0, 1.0))
    assert statistics.agreement(np.float32(0.5), np.float32(0.4)) == pytest.approx((0.25, 1.0))


def test_departure_of_a_path_map():
    """Sum 9 where the score changes by 10: gap 10 %; off by 1 of 10 in L1: 10 %."""
    references = np.array([[4.0, 6.0]])
    assert statistics.departure([[4.0, 5.0]], references, np.array([10.0])) == pytest.approx((0.1, 0.1))


def test_the_steps_that_rules_need_on_a_quadratic_path():
    """With dS/dx = a^2 at a x the errors are -1/(12 n^2), 1/(6 n^2) and 1/(6 n), beside an integral of 1/3.

    1/(2 n^2) <= 1 % from n = 8, so 9 nodes; 1/(2 n) from n = 50, and 60 is the next divisor of 1440, so 61 nodes.
    """
    nodes = np.arange(converging.FINE + 1)[:, None] / converging.FINE
    maps = converging.by_rule(np.ones(1), nodes**2)
    for steps in (4, 8, 90):
        np.testing.assert_allclose(maps["midpoint"][steps], 1 / 3 - 1 / (12 * steps**2))
        np.testing.assert_allclose(maps["trapezoid"][steps + 1], 1 / 3 + 1 / (6 * steps**2))
        np.testing.assert_allclose(maps["all_alike"][steps + 1], 1 / 3 + 1 / (6 * steps))
    needed = {rule: converging.steps_needed(found, np.full(1, 1 / 3), 1 / 3) for rule, found in maps.items()}
    assert (needed["trapezoid"], needed["all_alike"]) == (9, 61)


def test_a_library_that_is_beaten_is_not_asked_for_more_of_the_same():
    """1.3 times the fastest library's median, or 1.5 times ours; the fastest library stays; the plain loop is none."""
    of = {"plain": [9.0], "xplique": [1.0, 9.0, 1.0], "captum": [1.2], "saliency": [1.4], "lime": []}

    def slower(ours):
        return bench.slower({n: row("vgg7_150", "rise", 8, n, s) for n, s in (of | {"ours": [ours]}).items()})

    assert slower(0.9) == {"saliency"}
    assert slower(0.7) == slower(0.1) == {"saliency", "captum"}


# --- rounds -----------------------------------------------------------------------------------------------------

CONTENDER = """
import json, sys
print(json.dumps({"version": "1"}), flush=True)
for line in sys.stdin:
    order, arguments = json.loads(line)
    with open(sys.argv[1], "a") as log:
        log.write(sys.argv[2] + arguments["key"] + " ")
    print(json.dumps({"seconds": float(sys.argv[3])} if arguments["key"] != "x" else {"error": "no x"}), flush=True)
"""


@pytest.fixture
def pair(tmp_path):
    """Two real processes that note when they are asked, and the note."""
    note = tmp_path / "note"
    made = [
        driver.Contender(name, [sys.executable, "-c", CONTENDER, note, name, seconds])
        for name, seconds in (("a", 1), ("b", 2))
    ]
    assert [contender.greeting() for contender in made] == [{"version": "1"}] * 2
    yield made, note
    for contender in made:
        contender.close()


def test_contenders_are_asked_in_turn_and_take_turns_in_beginning(pair):
    (a, b), note = pair
    seconds = driver.interleaved([(a, {"key": "1"}), (b, {"key": "1"}), (a, {"key": "2"})], 3)
    assert seconds == [[1.0] * 3, [2.0] * 3, [1.0] * 3]
    assert note.read_text().split() == ["a1", "b1", "a2", "b1", "a2", "a1", "a2", "a1", "b1"]


def test_an_error_of_a_contender_ends_the_rounds_with_its_text(pair):
    (a, _), _ = pair
    with pytest.raises(RuntimeError, match="no x"):
        driver.interleaved([(a, {"key": "x"})], 1)


def test_a_process_that_ended_says_so():
    gone = driver.Contender("gone", [sys.executable, "-c", ""])
    with pytest.raises(SystemExit, match="gone did not start: gone: its process ended"):
        gone.greeting()
    gone.close()


def test_the_number_of_rounds_and_of_repeats():
    assert driver.rounds_for(0.3, 15) == 15 and driver.rounds_for(1.5, 15) == 5
    assert driver.rounds_for(60.0, 15) == 0 and driver.rounds_for(0.3, 2) == 2
    assert driver.repeats_for(0.03) == 4 and driver.repeats_for(3.0) == 1
    assert driver.repeats_for(0.03, 0.3) == 10 and driver.repeats_for(0.03, 0.001) == 4


def test_only_those_that_may_be_fastest_are_asked_for_further_rounds():
    """The slow library, the plain loop, and one with another map, however fast, are not."""
    found = {"ours": [1.0], "xplique": [2.0, 9.0, 2.0], "captum": [2.5], "saliency": [2.7], "lime": [0.5], "plain": [2]}
    rows = dict.fromkeys(found, {}) | {"lime": {"note": "another map"}}
    assert bench.may_be_fastest(rows, found) == ["xplique", "captum"]
    assert bench.may_be_fastest(rows, {"ours": [1.0], "plain": [2.0]}) == []


def test_rounds_of_everyone_come_before_those_of_the_fastest(pair, tmp_path, monkeypatch):
    """Ours 1 s, a library of 2 s; raw passes 1 s: three rounds for all, then as many as fit into 8 s."""
    (ours, library), note = pair
    np.savez(tmp_path / "inputs.npz", varied=1.0)
    (tmp_path / "vgg7_150").symlink_to(tmp_path)
    timed = bench.Bench({"ours": ours, "xplique": library}, tmp_path)
    for method in bench.RAW:
        timed.best["vgg7_150", method] = 8
        timed.raw_calls[f"raw vgg7_150 {method} 8"] = 1.0
    rows = {"ours": {}, "xplique": {}}
    setting = plan.Setting("vgg7_150", "saliency", 1)
    seconds, needed = timed.time(
        setting, rows, ["ours", "xplique"], {"ours": {"seconds": 9}, "xplique": {"seconds": 9}}
    )
    assert seconds == {"ours": [1.0] * 5, "xplique": [2.0] * 5}, "a further round takes 4 s"
    assert needed["seconds"] == [0.125] * 5 and (needed["forwards"], needed["backwards"]) == (1, 1)
    seconds, _ = timed.time(
        setting, rows | {"xplique": {"note": "another map"}}, ["ours", "xplique"], dict.fromkeys(rows, {"seconds": 9})
    )
    assert seconds == {"ours": [1.0] * 7, "xplique": [2.0] * 3}


# --- what is timed ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of one small network, as every contender gets them."""
    folder = tmp_path_factory.mktemp("cases")
    inputs = np.random.default_rng(1).random((6, 20, 16, 3), np.float32)
    cases.make(folder / "flatten", flatten_network(), inputs, (4, 2))
    return folder


def first_run(name, folder, method, n=2, amount=0):
    """The maps of a contender's first run, in this process, and its worker, which is then ready to be timed."""
    worker, maps = Worker(name, folder), folder / f"{name}.npy"
    setting = {"network": "flatten", "method": method, "n": n, "amount": amount}
    assert worker.prepare("key", setting, maps=maps)["seconds"] > 0
    return np.load(maps), worker


@pytest.mark.filterwarnings("ignore")  # of the library
@pytest.mark.parametrize(
    ("name", "method", "apart"),
    [("tf_keras_vis", "saliency", 1e-5), ("plain", "occlusion", 1e-5), ("plain", "ablation_cam", 1e-4)],
)
def test_a_contender_leaves_the_maps_that_ours_equal(name, method, apart, folder):
    theirs, worker = first_run(name, folder, method)
    ours, _ = first_run("ours", folder, method)
    assert statistics.agreement(ours, theirs)[0] <= apart
    assert worker.time("key", repeats=2)["seconds"] > 0
    worker.forget("key")
    assert not worker.ready


def test_a_library_draws_as_many_samples_as_it_is_told(folder):
    """lime's own draws: of 2, the whole picture and one other, and of 2000; the second map is near ours."""
    few, _ = first_run("lime", folder, "lime", amount=2)
    many, _ = first_run("lime", folder, "lime", amount=2000)
    ours, _ = first_run("ours", folder, "lime", amount=2000)
    assert statistics.agreement(ours, many)[1] > 0.9 > statistics.agreement(ours, few)[1]


def test_every_contender_has_the_raw_passes_and_says_what_it_lacks(folder):
    worker = Worker("lime", folder)
    assert worker.about() == {"version": machine.installed("lime")}
    setting = {"network": "flatten", "n": 3, "amount": 0}
    passes = [worker.build(setting | {"method": method})() for method in ("forward", "gradient")]
    assert [one.shape for one in passes] == [(3, 5), (3, 20, 16, 3)]
    assert worker.prepare("key", setting | {"method": "rise"}) == {"absent": True}
    assert Worker("ours", folder).about() == {"version": "this commit"}


def test_a_path_is_told_its_steps_or_doubles_them(folder):
    """A quadratic path of one input: x a^2 summed at midpoints; the steps of the reference, then 16 after 8."""
    asked = []

    def path(case):
        def run(item, steps):
            asked.append((item, steps))
            return case.inputs[item] * np.square((np.arange(steps) + 0.5) / steps).mean()

        return run

    ours = Worker("ours", folder).case("flatten").first(2)
    sums = ours.inputs.reshape(2, -1).sum(axis=1) / 3
    np.savez(ours.folder / "steps.npz", midpoint=[8, 20, 99], changes=[*sums, 1.0])
    makers = converging.methods(path, "midpoint")
    np.testing.assert_allclose(makers["converged"](ours, 0)(), ours.inputs / 3, rtol=0.01)
    assert asked == [(0, 8), (1, 20)]
    asked.clear()
    np.testing.assert_allclose(makers["doubled"](ours, 0)(), ours.inputs / 3, rtol=0.01)
    assert asked == [(0, 8), (0, 16), (1, 8), (1, 16)]


# --- the plan ---------------------------------------------------------------------------------------------------


def test_the_plan_has_every_setting_of_the_goals():
    found = goals.verdicts(results(*(row(s.network, s.method, s.n, "ours", [1.0]) for s in plan.plan())))
    settings = {(setting.network, setting.method, setting.n) for setting in plan.plan()}
    for network in goals.VGG7:
        assert {
            (network, method, n) for method in goals.GRADIENTS for n in (1, plan.largest(network, method))
        } <= settings
        others = (*goals.PERTURBATIONS, "deletion", "insertion")
        assert {(network, method, plan.largest(network, method)) for method in others} <= settings
    of_deep = {(method, n) for network, method, n in settings if network == goals.DEEP}
    assert of_deep == {(method, n) for method in goals.GRADIENTS for n in (1, plan.largest(goals.DEEP, method))} | {
        ("rise", 1),
        ("lime", 1),
    }
    assert len(found) > 30


def test_windows_cover_without_a_rest():
    for network, side in plan.NETWORKS.items():
        patch, stride = plan.WINDOW[side]
        assert (side - patch) % stride == 0
        assert plan.windows(network) == ((side - patch) // stride + 1) ** (1 if network == "mnist1d" else 2)


@pytest.fixture(scope="module")
def signals():
    """The signal network and two signals."""
    import mnist1d_utils as m1
    import xai_utils as xu

    return xu.load_model(ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(count=20), "test")[0][:2]


@pytest.mark.parametrize("method", ["saliency", "smooth_grad", "integrated_gradients", "rise", "lime", "deletion"])
def test_the_needed_passes_are_those_that_our_methods_make(method, signals):
    """counting() tells what went through the network; two more forwards are the score of the input itself."""
    import xai_utils as xu

    model, inputs = signals
    maps = np.random.default_rng(0).random(inputs.shape[:2])
    call, amount = {
        "saliency": (lambda: xu.saliency(model, inputs, 1), 0),
        "smooth_grad": (lambda: xu.smooth_grad(model, inputs, 1, samples=5), 5),
        "integrated_gradients": (lambda: xu.integrated_gradients(model, inputs, 1, steps=6), 6),
        "rise": (lambda: xu.rise(model, inputs, 1, masks=7), 7),
        "lime": (lambda: xu.lime(model, inputs, 1, samples=20), 20),
        "deletion": (lambda: xu.deletion_curve(model, inputs, maps, 1, steps=8), 8),
    }[method]
    with counting() as passes:
        call()
    forwards, backwards = plan.METHODS[method].passes(amount, 0)
    assert 0 <= passes["forwards"] - 2 * forwards <= 2
    assert passes["backwards"] == 2 * backwards


# --- verdicts ---------------------------------------------------------------------------------------------------


def test_efficiency_is_met_or_missed_by_its_value():
    found = [
        row("vgg7_150", "saliency", 32, "ours", [0.010] * 3),
        row("vgg7_150", "saliency", 32, "floor", [0.0095] * 3),
    ]
    goal = goals.efficient(results(*found), "vgg7_150", "saliency", 32, 0.90)
    assert goal.met and goal.measured == "0.950 [0.95, 0.95]"
    assert goals.efficient(results(*found), "vgg7_150", "saliency", 32, 0.96).met is False
    assert goals.efficient(results(), "vgg7_150", "saliency", 32, 0.90).met is None


def test_no_peer_is_faster_only_if_the_whole_interval_says_so():
    ours, floor = (row("vgg7_150", "saliency", 1, name, [1.0, 1.0, 1.1]) for name in ("ours", "floor"))
    slow, fast = (row("vgg7_150", "saliency", 1, name, [s] * 3) for name, s in (("captum", 2.0), ("xplique", 1.0)))
    ruled_out = row("vgg7_150", "saliency", 1, "saliency", [0.1] * 3, note="another map")
    alone = goals.not_slower(results(ours, floor, slow, ruled_out), "vgg7_150", "saliency", 1)
    assert alone.met and alone.measured.endswith("of Captum")
    both = goals.not_slower(results(ours, floor, slow, fast), "vgg7_150", "saliency", 1)
    assert both.met is False and both.measured == "1.00 [1.00, 1.100] of Xplique"


def test_occlusion_must_be_faster_and_the_same():
    def verdict(seconds, difference):
        found = [row("vgg7_224", "occlusion", 2, name, [s]) for name, s in (("ours", 0.1), ("xplique", seconds))]
        found += [row("vgg7_224", "occlusion", 2, "plain", [1.0], difference=difference)]
        found += [row("vgg7_224", "occlusion", 2, "floor", [1.0])]
        return goals.times_faster(results(*found), "vgg7_224", "occlusion", 15, plan.PEERS, apart=True).met

    assert verdict(1.6, 1e-5) is True
    assert verdict(1.4, 1e-5) is False
    assert verdict(1.6, 1e-3) is False


def test_a_converged_map_must_be_reached_by_both():
    def goal(method="doubled", **distances):
        seconds = {"ours": [1.0], "xplique": [4.0], "saliency": [2.0]}
        rows = [row("vgg7_150", method, 2, n, seconds[n], gap=0.001, distance=d) for n, d in distances.items()]
        return goals.converged(results(*rows), method)

    assert goal("converged", ours=0.005, xplique=0.009).what != goal(ours=0.005, xplique=0.009).what

    assert goal(ours=0.005, xplique=0.009, saliency=0.05).met is True  # PAIR's is not within 1 %
    assert goal(ours=0.005, xplique=0.009, saliency=0.01).met is False  # twice as fast only
    assert goal(ours=0.03, xplique=0.009).met is False
    assert goal(ours=0.005, saliency=0.05).met is None


def test_memory_is_flat_within_a_tenth_or_32_mib():
    def verdict(small, large):
        few, many = plan.FLAT[:2]
        rows = [
            row("vgg7_150", kind[0], kind[1], "ours", [], purpose="memory", bytes=size * 2**20) | {"amount": kind[2]}
            for kind, size in ((few, small), (many, large))
        ]
        return goals.flat(results(*rows), few, many).met

    assert verdict(400, 430) is True and verdict(10, 40) is True
    assert verdict(400, 500) is False


def test_the_import_is_judged_by_the_median():
    assert goals.imported(results()).met is True
    assert goals.imported(results()).measured == "0.20 s"


# --- the page ---------------------------------------------------------------------------------------------------


def test_a_network_row_shows_medians_efficiency_and_the_fastest_peer():
    of = {"ours": [1.0, 2.0, 3.0], "floor": [1.0, 1.0, 1.0], "captum": [8.0], "xplique": [4.0, 4.0, 4.0]}
    found = {name: row("vgg7_150", "saliency", 8, name, seconds) for name, seconds in of.items()}
    assert page.network_row(found, "saliency", 8) == (
        "saliency", 8, 3, "2", "1", "0.50 [0.33, 1.00]", "0.50 [0.25, 0.75] Xplique", "Xplique 4, Captum 8",
    )  # fmt: skip


def test_results_survive_writing_and_reading(tmp_path):
    given = results(row("vgg7_150", "saliency", 1, "ours", [0.1]), left_out=["a"])
    (tmp_path / "results.json").write_text(page.as_text(given))
    assert page.read(tmp_path / "results.json") == given
    assert "Not measured, because the time was up: a." in page.render(given)


def test_a_network_that_is_measured_alone_replaces_its_own_rows():
    """Its peak memory stays, as do all other networks; the page says when, and on what."""
    old = row("vgg7_150", "saliency", 1, "ours", [9.0])
    peak, other = old | {"purpose": "memory", "bytes": 1}, old | {"network": "faces"}
    before = results(old, peak, other, left_out=["table vgg7_150 rise n=2 amount=9", "table faces rise n=2 amount=9"])
    new = [old | {"seconds": [1.0]}, old | {"seconds": [1.0], "contender": "floor"}]
    found = results(*new, date="2026-02-02", load=3.5, left_out=["table vgg7_150 lime n=2 amount=9"])
    merged = command.merged(before, "vgg7_150", found)
    assert merged["rows"] == [peak, other, *new]
    assert merged["left_out"] == ["table faces rise n=2 amount=9", "table vgg7_150 lime n=2 amount=9"]
    assert (merged["date"], merged["load"]) == ("2026-01-01", 0.1)
    text = page.network_table(merged, "vgg7_150")
    assert "`python -m benchmarks --only vgg7_150`), 2026-02-02, P, 2 cores; processes that waited before: 3.5." in text
    assert "alone" not in page.network_table(results(*new), "vgg7_150")


def test_a_network_of_a_seed_tells_inputs_apart():
    """Every kernel keeps the spread of what it reads, so the deepest maps of two inputs are neither 0 nor clipped."""
    model = cases.of_a_seed(keras.applications.MobileNetV2)
    again = cases.of_a_seed(keras.applications.MobileNetV2)
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    see = keras.Model(model.inputs[0], model.get_layer("out_relu").output)
    one, other = see(np.random.default_rng(0).random((2, 224, 224, 3), np.float32)).numpy()
    assert 1e-3 < one.max() < 6 and np.abs(one - other).max() > 0.01 * one.max()


def test_lines_of_the_figure_hold_medians_in_order():
    rows = [row("vgg7_150", "saliency", n, "ours", [n, 3.0 * n, 2.0 * n], purpose="scaling") for n in (32, 1, 8)] + [
        row("vgg7_75", "saliency", 8, "ours", [5.0], purpose="scaling")
    ]
    assert figures.series(results(*rows), "saliency", "n", "ours") == [(1, 2.0), (8, 16.0), (32, 64.0)]
    assert figures.series(results(*rows), "saliency", "side", "ours") == [(75, 5.0), (150, 16.0)]


def test_first_maps_are_asked_for_in_turn_and_kept_one_by_one(monkeypatch):
    """Two rounds of two contenders: each process is started once, and those that are known are not."""
    monkeypatch.setattr(first, "NETWORKS", {"N": "layer"})
    monkeypatch.setattr(first, "METHODS", ("saliency",))
    monkeypatch.setattr(first, "CONTENDERS", ("ours", "tape"))
    started, kept = [], {"first 0 N saliency ours": {"first": 3.0, "second": 0.5}}
    monkeypatch.setattr(first, "in_process", lambda *words: started.append(words[2]) or {"first": 1.0, "second": 0.25})
    store = type("Store", (), {"keep": lambda self, key, measure: kept.setdefault(key, None) or measure()})()
    mine, other = first.measure(store, lambda text: None, rounds=2)
    assert started == ["tape", "ours", "tape"]
    assert mine == {"network": "N", "method": "saliency", "contender": "ours", "first": [3, 1], "second": [0.5, 0.25]}
    assert other["first"] == [1, 1]


def test_the_page_shows_first_maps_with_their_least_and_most():
    times = [{"first": 1.0, "second": 0.25}, {"first": 3.0, "second": 0.75}, {"first": 2.0, "second": 0.5}]
    rows = [first.row("ResNet50", "grad_cam", who, times) for who in first.CONTENDERS]
    text = page.first_table(results(first={"load": 0.5, "rows": rows}))
    assert "medians of 3 fresh processes" in text and "python -m benchmarks --first" in text
    cells = text.splitlines()[-1].split(" | ")
    assert cells[:3] == ["| ResNet50", "Grad-CAM", "2.00 [1.00, 3.00]"] and cells[-1] == "0.50 |"
    assert page.first_table(results()) == ""


def test_the_plain_contenders_make_the_same_first_map():
    maps = {who: first.explanation("MobileNetV2", "grad_cam", who)() for who in ("tape", "function")}
    np.testing.assert_allclose(maps["tape"], maps["function"], rtol=1e-3, atol=1e-9)


committed = pytest.mark.skipif(not RESULTS.exists(), reason="no benchmarks/results.json: make bench")


@committed
def test_a_page_without_a_measured_figure_shows_none():
    row = {"purpose": "table", "network": "vgg7_150"}
    assert not page.has_scaling({"rows": [row]})
    assert page.has_scaling({"rows": [row, row | {"purpose": "scaling"}]})


def test_the_committed_page_is_what_the_committed_results_render_to():
    assert (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8") == page.render(page.read(RESULTS))


@committed
def test_the_committed_results_name_no_host_and_no_folder():
    text = RESULTS.read_text(encoding="utf-8")
    assert set(json.loads(text)["machine"]) == set(results()["machine"])
    assert not re.search(r"""(^|[\s"'(=])(/|[A-Z]:\\)\w|://""", text)
