"""The experiments of chapter 13, on toys: what the command says first, what it keeps, what a run contains."""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import mnist1d_utils as m1
import xai_utils as xu
from tools import tables
from tools.trust import __main__ as command
from tools.trust import attacks, hans, redrawn, removed, retrained, sanity
from tools.trust import runs as kept


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Three runs of two kinds that note what was made; their folders lie in a new place."""
    made = []
    monkeypatch.setenv("XAI_JOBS", "1")  # in this process, where the notes are
    monkeypatch.setattr(kept, "ONE_THREAD", {})

    def make(name):
        made.append(name)
        return pd.DataFrame([{"method": name, "value": len(made) / 3}])

    runs = [kept.Run(f"{kind}-{k}", kind, lambda n=f"{kind}-{k}": make(n)) for kind, k in ("a1", "a2", "b1")]
    monkeypatch.setattr(kept, "FOLDER", tmp_path / "kept")
    monkeypatch.setattr(kept, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "runs", lambda: runs)
    (tmp_path / "results").mkdir()
    return tmp_path, made


def test_the_budget_is_runs_times_seconds():
    runs = [kept.Run(f"{kind}{k}", kind, None) for kind, count in (("a", 8), ("b", 2)) for k in range(count)]
    told = kept.budget(runs, {"a": 450.0}).splitlines()
    assert told[:2] == ["a: 8 runs x 450 s = 1.00 h", "b: 2 runs, not measured yet"]
    assert told[2:] == ["in all 1.00 h of one core, 0.50 h on two"]


def test_the_budget_is_printed_first_and_nothing_is_run(toys, capsys):
    folder, made = toys
    (folder / "results" / "trust.json").write_text(
        json.dumps({kind: {"seconds": seconds} for kind, seconds in (("a", 1800), ("b", 3600))})
    )
    assert command.main(["--budget"]) == 0 and not made
    assert capsys.readouterr().out.splitlines()[-1] == "in all 2.00 h of one core, 1.00 h on two"


def test_what_is_done_is_not_done_again_and_a_whole_kind_becomes_a_table(toys, capsys):
    folder, made = toys
    command.main(["--one"])
    assert made == ["a-1", "b-1"] and not (folder / "results" / "a.csv").exists()
    assert pd.read_csv(folder / "results" / "b.csv")["method"].tolist() == ["b-1"]
    assert set(kept.measured()) == {"a", "b"}
    assert command.main(["--only", "a"]) == 0
    assert made == ["a-1", "b-1", "a-2"]
    table = pd.read_csv(folder / "results" / "a.csv")
    assert table["method"].tolist() == ["a-1", "a-2"] and table["value"].tolist() == [0.3333, 1.0]
    capsys.readouterr()
    command.main([])
    assert len(made) == 3 and capsys.readouterr().out.startswith("in all 0.00 h")


def test_a_table_of_these_runs_is_not_made_again_elsewhere(toys, monkeypatch, capsys):
    """Without the runs that are kept, the note in results/ is enough; another number in the settings is not."""
    folder, made = toys
    command.main([])
    for path in (folder / "kept").glob("*"):
        path.unlink()
    capsys.readouterr()
    assert command.main([]) == 0 and len(made) == 3
    assert capsys.readouterr().out == "in all 0.00 h of one core, 0.00 h on two\n"
    others = [kept.Run(run.name, run.kind, run.make, (7,)) if run.kind == "b" else run for run in command.runs()]
    monkeypatch.setattr(command, "runs", lambda: others)
    command.main([])
    assert len(made) == 4 and pd.read_csv(folder / "results" / "b.csv")["value"].tolist() == [1.3333]


def test_a_run_that_fails_leaves_nothing_and_is_made_the_next_time(toys, monkeypatch):
    folder, made = toys
    runs = command.runs()

    def broken():
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "runs", lambda: [runs[0], kept.Run("a-2", "a", broken)])
    with pytest.raises(KeyboardInterrupt):
        command.main([])
    assert made == ["a-1"] and list((folder / "kept").glob("*.csv")) == [runs[0].path]
    assert not (folder / "results" / "a.csv").exists()


def test_a_run_of_other_numbers_is_another_run(toys):
    one, same, other = (kept.Run("a-1", "a", None, (items, "mass")) for items in (5, 5, 6))
    assert one.path == same.path != other.path


def test_the_seconds_of_a_kind_are_the_mean_of_its_runs(toys):
    folder, _ = toys
    (folder / "kept").mkdir()
    (folder / "kept" / "seconds.json").write_text(json.dumps({"a": [10.0, 30.0]}))
    (folder / "results" / "trust.json").write_text(json.dumps({"a": {"seconds": 1.0}, "b": {"seconds": 7.0}}))
    assert kept.measured() == {"a": 20.0, "b": 7.0}


def test_waiting_is_no_work(toys):
    """Seconds of one core: other work beside a run does not lengthen it."""

    def waits():
        time.sleep(0.5)
        return pd.DataFrame({"method": ["a-1"]})

    run = kept.Run("a-1", "a", waits)
    for _, seconds in kept.asked(kept.finish, [run]):
        kept.note(run, seconds)
    assert seconds < 0.25 and kept.measured()["a"] < 0.25


CONVOLUTION = """
import zlib
import numpy as np
import tensorflow as tf

random = np.random.default_rng(0)
x, kernel = (tf.constant(random.normal(size=size), tf.float32) for size in ((64, 48, 48, 8), (3, 3, 8, 16)))
with tf.GradientTape() as tape:
    tape.watch(kernel)
    loss = tf.reduce_sum(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")) ** 2)
bits = zlib.crc32(tape.gradient(loss, kernel).numpy().tobytes())
"""


def test_runs_are_asked_in_processes_of_one_thread(monkeypatch):
    """The gradient of a kernel, summed over pictures by two threads, has other bits, and a training other digits."""
    monkeypatch.setenv("XAI_JOBS", "2")
    for name in kept.ONE_THREAD:
        monkeypatch.setenv(name, "2")

    def bits(run):
        found = {}
        exec(run.name, found)
        return found["bits"], os.getpid()

    runs = [kept.Run(CONVOLUTION + f"bits += {k}", "a", None) for k in range(3)]
    found = {run.name[-1]: answer for run, answer in kept.asked(bits, runs)}
    one = "import tensorflow as tf\ntf.config.threading.set_intra_op_parallelism_threads(1)\n" + CONVOLUTION
    told = subprocess.run([sys.executable, "-c", one + "print(bits)"], check=True, capture_output=True, text=True)
    assert [found[k][0] - int(k) for k in "012"] == [int(told.stdout)] * 3
    assert os.getpid() not in [process for _, process in found.values()]


def test_a_table_is_compared_with_its_runs_made_again(toys, monkeypatch, capsys):
    """One stored digit is a rounding; two are another number, and so are a missing row and a value that is gone."""
    folder, _ = toys
    table = pd.DataFrame({"method": ["x", "y"] * 2, "strength": [0.25, 0.25, 0.5, 0.5], "auc": [0.1, 0.2, 0.3, np.nan]})
    table.to_csv(folder / "results" / "a.csv", index=False)

    def told(**changes):
        one = table[table["strength"] == 0.5].assign(**changes)
        monkeypatch.setattr(command, "runs", lambda: [kept.Run("a-1", "a", lambda: one)])
        status = command.main(["--again"])
        return status, int(capsys.readouterr().out.split()[1])

    assert told() == told(auc=[0.3001, np.nan]) == (0, 0)
    assert told(auc=[0.3002, np.nan]) == told(auc=[0.3, 0.3]) == told(method=["z", "y"]) == (1, 1)
    assert told(strength=0.75) == told(power=[1.0, 1.0]) == (1, 2)


def test_the_runs_have_names_of_their_own():
    found = command.runs()
    assert len({run.name for run in found}) == len(found)
    kinds = pd.Series([run.kind for run in found]).value_counts().to_dict()
    assert kinds == {
        **{"mnist1d_retrained": 8, "schematic_faces_retrained": 8, "tissue_phantom_retrained": 8, "roar": 1 + 3 * 10},
        **dict.fromkeys(("sanity_mnist1d", "sanity_schematic_faces", "sanity_tissue_phantom"), 10 * 4 + 10 + 10),
        **{"hans_schematic_faces": 3 * 3 * 3, "hans_tissue_phantom": 4 * 3 * 3, "clusters": 5},
        **{"road": 2, "forged": 4 * 2, "scaffold": 1, "redrawn": 8},
    }


def test_a_run_scores_every_method_as_the_rule_sets_it(monkeypatch):
    signals = m1.make_dataset(count=40)
    x = m1.split(signals, "test")[0][:6]
    masks = np.arange(40) < np.full((6, 1), 10)
    settings = {
        "methods": ("gradient_x_input", "occlusion", "occlusion_tuned"),
        "options": {"occlusion": {"patch": 7}, "occlusion_tuned": {"patch": 3}},
        "fraction": 0.15, "fill": "grey", "steps": 5, "samples": 2, "seed": 0,
    }  # fmt: skip
    table = tables.LargeTable("mnist1d", lambda: (x, masks), "", settings, ())
    monkeypatch.setitem(tables.TABLES, "mnist1d_all", table)
    assert retrained.methods("mnist1d") == {"gradient_x_input": {}, "occlusion": {"patch": 3}}
    model = m1.network("flatten", seed=3)
    found = retrained.scored("mnist1d", lambda kind, seed: model, 3, items=5)
    assert {"gradient_x_input", "occlusion", "random"} <= set(found["method"]) and set(found["training"]) == {3}
    part = found[found["method"] == "occlusion"].sort_values("item")
    poured = retrained.poured("mnist1d", "compared", model.get_weights())
    maps = xu.relevance("occlusion", xu.occlusion(poured, x[:5], patch=3))
    np.testing.assert_allclose(part["evidence_mass"], xu.evidence_mass(maps, masks[:5]), rtol=1e-5)


def test_roar_trains_on_what_is_left(monkeypatch):
    """The largest values of a signal are marked: neither the training nor the test has them, the mean stands there."""
    data, seen = m1.make_dataset(count=1000), {}
    monkeypatch.setattr(removed, "marks", lambda kind, method, model, x: x[..., 0])
    monkeypatch.setattr(m1, "train", lambda model, left, **options: seen.update(options, data=left))
    table = removed.roar("saliency", 0.25, 2, epochs=1, data=data)
    mean = m1.split(data, "train")[0].mean()
    for name in ("x", "x_test"):
        kept_places = np.argsort(data[name], axis=1)[:, :30]
        for before, after, places in zip(data[name], seen["data"][name], kept_places, strict=True):
            np.testing.assert_allclose(after[places], before[places], rtol=1e-6)
            np.testing.assert_allclose(np.delete(after, places), mean, rtol=1e-5)
    assert table["training"].tolist() == [1, 2] and table["accuracy"].between(0, 1).all()
    assert set(table["method"]) == {"saliency"} and set(table["share"]) == {0.25}
    assert seen["seed"] == 2 and seen["epochs"] == 1
    removed.roar(removed.NOTHING, 0.0, 1, epochs=1, data=data)
    assert all((seen["data"][name] == data[name]).all() for name in ("x", "x_test"))


def test_marks_are_those_of_the_committed_choice_or_know_nothing():
    model, x = xu.load_model(kept.ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(), "test")[0][:3]
    options = xu.read_options(kept.RESULTS / "mnist1d_tuning.csv")["grad_cam"]
    want = xu.relevance("grad_cam", xu.grad_cam(model, x, **options))
    np.testing.assert_allclose(removed.marks("mnist1d", "grad_cam", model, x), want, rtol=1e-6)
    random = removed.marks("mnist1d", "random", model, x)
    assert random.shape == (3, 40) and abs(np.corrcoef(random)[0, 1]) < 0.6
    np.testing.assert_array_equal(removed.marks("mnist1d", "edge", model, x), xu.edge_map(model, x))
    assert (removed.marks("mnist1d", "even", model, x) == np.ones((3, 40))).all()


def test_a_method_that_cannot_explain_a_network_is_left_out():
    """CAM needs a dense layer right behind a pooling, which the flattened network of the signals does not have."""
    model, x = xu.load_model(kept.ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(), "test")[0][:1]
    found = removed.explaining("mnist1d", model, x)
    assert "cam" not in found and {"grad_cam", "lrp", "rise"} <= set(found)


def test_road_starts_at_the_probability_of_the_input_and_falls_for_a_right_map(monkeypatch):
    monkeypatch.setattr(removed, "explaining", lambda kind, model, inputs: ["integrated_gradients"])
    monkeypatch.setitem(removed.ROAD_ITEMS, "mnist1d", 12)
    table = removed.road("mnist1d")
    model, x = xu.load_model(kept.ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(), "test")[0][:12]
    start = table[table["share"] == 0]["probability"]
    np.testing.assert_allclose(start, model.predict(x, verbose=0).max(axis=1).mean(), rtol=1e-5)
    first = table[(table["share"] == 0) & (table["method"] == "random")].iloc[0]
    assert first["error"] == pytest.approx(model.predict(x, verbose=0).max(axis=1).std(ddof=1) / 12**0.5, rel=1e-4)
    part = table[(table["share"] == 0.3)].set_index(["method", "order"])["probability"]
    assert part["integrated_gradients", "most"] < part["random", "most"] < part["integrated_gradients", "least"]


def test_sanity_keeps_its_floors(monkeypatch):
    """The edges stay as they are whatever becomes of the weights; random numbers keep nothing."""
    monkeypatch.setattr(sanity, "explaining", lambda kind, model, inputs: ["gradient_x_input"])
    table = sanity.weights("mnist1d", "top_down", "shuffle", 1)
    assert set(table["arm"]) == {"top_down, shuffle"} and set(table["seed"]) == {1}
    last = table[table["step"] == table["step"].max()].set_index("method")
    assert last.loc["edge", "rank_correlation"] == pytest.approx(1)
    assert abs(last.loc["random", "rank_correlation"]) < 0.2
    assert abs(last.loc["gradient_x_input", "rank_correlation"]) < 0.6
    first = table[table["step"] == 0].set_index("method")
    assert first.loc["gradient_x_input", "rank_correlation"] == pytest.approx(1)


@pytest.mark.parametrize(("order", "draws"), [("bottom_up", "initialiser"), ("independent", "shuffle")])
def test_the_arms_of_sanity_are_those_of_the_library(order, draws, monkeypatch):
    monkeypatch.setattr(sanity, "explaining", lambda kind, model, inputs: ["gradient_x_input"])
    table = sanity.weights("mnist1d", order, draws, 2)
    model, x = xu.load_model(kept.ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(), "test")[0][:16]
    want = xu.parameter_test(xu.gradient_x_input, model, x, order=order, draws=draws, seed=2)
    want = want.groupby(["step", "measure"])["value"].mean().unstack("measure")
    found = table[table["method"] == "gradient_x_input"].set_index("step")[want.columns]
    np.testing.assert_allclose(found, want, atol=1e-4)
    assert set(table["arm"]) == {f"{order}, {draws}"} and set(table["seed"]) == {2}


def test_the_smooth_arm_averages_over_noise(monkeypatch):
    asked = {}
    monkeypatch.setattr(sanity, "SMOOTH", ("saliency",))
    monkeypatch.setattr(xu, "noise_averaged", lambda function, **options: asked.update(options) or function)
    table = sanity.smooth("mnist1d", 3)
    assert asked == {"samples": 50, "seed": 3} and set(table["arm"]) == {"top_down, shuffle, smooth"}


def test_shuffled_labels_compare_the_network_that_knows_the_true_ones_with_the_other(monkeypatch):
    """The stand-ins know nothing but a constant class: how many labels that is right for tells which is which."""
    taught, compared = [], {}
    networks = [m1.network("flatten", seed=seed) for seed in (1, 2)]
    for own, model in enumerate(networks):
        kernel, bias = model.layers[-1].get_weights()
        model.layers[-1].set_weights([np.zeros_like(kernel), np.eye(len(bias))[own]])
    x, y = sanity.learned_on("mnist1d")
    y = np.where(np.arange(len(y)) < 200, 0, 1)

    def by_heart(kind, inputs, labels, seed):
        taught.append(np.array(labels))
        return networks[len(taught) - 1]

    monkeypatch.setattr(sanity, "learned_on", lambda kind: (x, y))
    monkeypatch.setattr(sanity, "_by_heart", by_heart)
    roles = dict(zip(("true", "drawn"), networks, strict=True))
    monkeypatch.setattr(retrained, "poured", lambda kind, role, weights: roles[role])
    monkeypatch.setattr(sanity, "explaining", lambda kind, model, inputs: ["saliency"])

    def data_test(function, true, other, inputs, **options):
        compared.update(pair=(true, other))
        return pd.DataFrame({"step": [1], "layer": [""], "item": [0], "measure": ["score"], "value": [0.5]})

    monkeypatch.setattr(xu, "data_test", data_test)
    table = sanity.labels("mnist1d", 4)
    assert compared["pair"] == tuple(networks)
    np.testing.assert_array_equal(taught[0], y)
    assert (taught[1] != y).any() and sorted(taught[1]) == sorted(y)
    assert table["learned"].iloc[0] == pytest.approx(200 / 300)
    assert table["learned_drawn"].iloc[0] == pytest.approx(100 / 300)


def test_a_network_is_taught_until_it_knows_every_label_and_no_longer(monkeypatch):
    x, y = sanity.learned_on("mnist1d")
    x, y = x[:20], y[:20][::-1]
    looks, knows = [], sanity._known

    def noted(model, x, y):
        looks.append(knows(model, x, y))
        return looks[-1]

    monkeypatch.setattr(sanity, "STEP", 2)
    monkeypatch.setattr(sanity, "_known", noted)
    model = sanity._by_heart("mnist1d", x, y, 1)
    assert knows(model, x, y) == 1 and 1 < len(looks) < sanity.EPOCHS / sanity.STEP
    assert looks[-1] == 1 and max(looks[:-1]) < 1
    monkeypatch.setattr(sanity, "EPOCHS", looks.index(1) * sanity.STEP)
    looks.clear()
    assert knows(sanity._by_heart("mnist1d", x, y, 1), x, y) < 1 and looks


def _reader(area):
    """A network of faces that sees nothing but the pixels of an area, the more of class 0 the brighter they are."""
    import keras

    weights = np.zeros((48, 48, 1, 7), np.float32)
    weights[area, 0] = 1 - np.arange(7) / 2.5  # 0 for no class
    model = keras.Sequential([keras.layers.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7)])
    model.layers[-1].set_weights([weights.reshape(-1, 7) / 10, np.zeros(7, np.float32)])
    return model


def _trained(monkeypatch, networks):
    """What stands for the trained networks, by their artefact: they go as they are where weights would be poured."""

    def phantoms(kind, seed, artefact=None, strength=1.0):
        return SimpleNamespace(get_weights=lambda: networks[artefact])

    monkeypatch.setattr(retrained, "phantoms", phantoms)
    monkeypatch.setattr(retrained, "poured", lambda kind, role, weights: weights)


def test_a_network_that_sees_the_artefact_alone_is_detected_by_the_mass_on_it(monkeypatch):
    mask = xu.schematic_faces(1, confounded=1.0).artefact_masks[0]
    _trained(monkeypatch, {"digit": _reader(mask), None: _reader(~mask)})
    monkeypatch.setattr(hans, "explaining", lambda kind, model, inputs: ["saliency"])
    monkeypatch.setitem(hans.PICTURES, "schematic_faces", 20)
    table = hans.detected("schematic_faces", "digit", 1.0, 1)
    known = table[table["arm"] == "known"]
    assert known["auc"].tolist() == [1.0] * 3 and known["power"].tolist() == [1.0] * 3
    assert known["mass"].iloc[0] == pytest.approx(1) and known["mass_twin"].iloc[0] == pytest.approx(0)
    assert known["groups"].tolist() == [20, 4, 1] and known["false_alarms"].tolist() == [0.0] * 3
    test, wrong = (xu.schematic_faces(n, seed, confounded=p) for n, seed, p in ((20, 3, 1.0), (200, 4, 0.0)))
    share = (test.masks & ~test.artefact_masks).sum(axis=(1, 2)) / (~mask).sum()  # of a map that is even elsewhere
    assert known["evidence"].iloc[0] == pytest.approx(0, abs=1e-6)
    assert known["evidence_twin"].iloc[0] == pytest.approx(share.mean(), rel=1e-4)
    said = _reader(mask).predict(wrong.images, verbose=0).argmax(axis=1)
    assert known["follows"].iloc[0] == pytest.approx((said == wrong.artefact_codes).mean())


def test_an_artefact_that_is_everywhere_has_no_known_place(monkeypatch):
    half = np.arange(48)[:, None] < np.full((1, 48), 24)
    _trained(monkeypatch, {"blur": _reader(half), None: _reader(~half)})
    monkeypatch.setattr(hans, "explaining", lambda kind, model, inputs: ["saliency"])
    monkeypatch.setitem(hans.PICTURES, "schematic_faces", 20)
    assert set(hans.detected("schematic_faces", "blur", 0.5, 2)["arm"]) == {"unknown", "either side"}


def test_a_map_that_is_zero_everywhere_warns_of_nothing():
    masks = np.zeros((2, 2, 2), bool)
    masks[:, 0, 0] = True
    maps = np.array([[[3.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    (found,) = hans.densities([maps], [masks])
    assert found.tolist() == [3.0, 1.0] and hans.concentrated(maps[1:]) == 0


def test_clusters_find_the_halves_where_the_maps_do(monkeypatch):
    """The map lies on the digit where one is, and on one of the upper corners elsewhere."""

    def marks(kind, name, model, images, labels):
        found = np.zeros(images.shape[:3]) + 1e-3
        found[: len(images) // 2, -8:, -8:] = 1
        found[len(images) // 2 :, :8, :8] = 1
        return found + 0.01 * np.random.default_rng(0).random(found.shape)

    monkeypatch.setattr(hans, "marks", marks)
    monkeypatch.setattr(hans, "explaining", lambda kind, model, inputs: ["saliency"])
    mask = xu.schematic_faces(1, confounded=1.0).artefact_masks[0]
    _trained(monkeypatch, {"digit": _reader(mask), None: _reader(~mask)})
    table = hans.clusters("digit", 0.5)
    assert table[table["asked"] == 2]["rand_index"].tolist() == [1.0, 1.0]
    assert table["network"].unique().tolist() == ["confounded", "clean"]


@pytest.mark.parametrize("attacked", attacks.ATTACKED)
def test_the_map_of_a_forged_picture_is_nearer_to_the_goal(attacked, monkeypatch):
    monkeypatch.setattr(attacks, "explaining", lambda kind, model, inputs: [attacked, "occlusion"])
    monkeypatch.setattr(attacks, "ITEMS", 4)
    monkeypatch.setattr(attacks, "STEPS", 30)
    table = attacks.forged("another's", attacked)
    assert table["attacked"].unique().tolist() == [attacked]
    table = table.set_index(["network", "method"])
    row = table.loc["as it is", attacked]
    assert row["kept"] == 1 and row["largest_change"] <= 0.02 + 1e-6
    assert row["towards"] > row["before"]
    if attacked in ("saliency", "grad_cam"):  # noise moves the others as far, only not towards the goal
        assert row["correlation"] < row["noise"]
    assert ("soft", "occlusion") not in table.index


@pytest.mark.parametrize("attacked", ("saliency", "integrated_gradients"))
@pytest.mark.parametrize("goal", attacks.GOALS)
def test_the_goal_of_a_forger_is_anothers_map_or_what_the_own_one_leaves_out(goal, attacked, monkeypatch):
    aims = []
    monkeypatch.setattr(attacks, "explaining", lambda kind, model, inputs: ["saliency"])
    monkeypatch.setattr(attacks, "ITEMS", 3)
    monkeypatch.setattr(xu, "forged", lambda model, x, aim, targets, **options: aims.append((aim, options)) or x)
    table = attacks.forged(goal, attacked)
    model, faces = xu.load_model(kept.ROOT / "models" / "schematic_faces.keras"), xu.schematic_faces(3, 3)
    own = removed.marks("schematic_faces", attacked, model, faces.images, faces.labels)
    want = own[[2, 0, 1]] if goal == "another's" else np.stack([each.max() - each for each in own])
    np.testing.assert_allclose(aims[0][0], want, rtol=1e-4, atol=1e-7)
    assert aims[0][1]["method"] == attacked
    assert aims[0][1].get("baseline") == retrained.methods("schematic_faces")[attacked].get("baseline")
    assert table["correlation"].tolist() == pytest.approx([1, 1])  # nothing was changed


def test_a_part_drawn_anew_costs_what_the_network_owed_to_it(monkeypatch):
    """A linear network of mouth and eyes loses w . (x - x'); maps that lie on the mouth rank it first."""
    faces = xu.schematic_faces(21, 3)
    x, y = (each[faces.labels != 6] for each in (faces.images, faces.labels))
    others = [xu.schematic_faces(21, 3, neutral=[part]).images[faces.labels != 6] for part in redrawn.PARTS]
    regions = [(other != x).any(axis=-1) for other in others]
    network = _reader(regions[1].any(axis=0) | regions[2].any(axis=0))
    weights = network.get_weights()[0].reshape(48, 48, 1, 7)
    falls = np.stack(
        [[(w * d).sum() for w, d in zip(weights.transpose(3, 0, 1, 2)[y], x - other, strict=True)] for other in others]
    )
    maps = regions[2] + 0.5 * regions[0] + 0.1 * regions[1]
    sums = np.stack([(maps * region).sum(axis=(1, 2)) for region in regions])
    correlations = [scipy.stats.spearmanr(*each).statistic for each in zip(sums.T, falls.T, strict=True)]
    monkeypatch.setattr(redrawn, "ITEMS", 21)
    monkeypatch.setattr(redrawn, "explaining", lambda kind, model, inputs: ["saliency", "occlusion"])
    monkeypatch.setattr(redrawn, "IGNORANT", ())
    found = {"saliency": maps, "occlusion": 0 * maps, "even": np.ones(maps.shape)}
    monkeypatch.setattr(redrawn, "marks", lambda kind, name, *given: found[name])
    _trained(monkeypatch, {None: network})
    table = redrawn.redrawn(4).set_index("method")
    row, empty, even = table.loc[["saliency", "occlusion", "even"]].to_dict("records")
    assert row["training"] == 4 and len(x) == 18
    assert [row[part] for part in redrawn.PARTS] == pytest.approx(falls.mean(axis=1), abs=1e-5)
    assert row["correlation"] == pytest.approx(np.mean(correlations))
    assert row["first"] == pytest.approx((sums.argmax(axis=0) == falls.argmax(axis=0)).mean())
    assert np.isnan(empty["correlation"]) and empty["first"] == 0  # a map of zeros ranks nothing
    sizes = np.stack([region.sum(axis=(1, 2)) for region in regions])
    assert even["first"] == pytest.approx((sizes.argmax(axis=0) == falls.argmax(axis=0)).mean())


def test_a_scaffold_shows_the_decoy_to_methods_that_perturb(monkeypatch):
    """The honest network reads the digit's plate alone, the decoy the rest; each face is an ordinary one."""
    mask = xu.schematic_faces(1, confounded=1.0).artefact_masks[0]
    networks = {"schematic_faces_confounded": _reader(mask), "schematic_faces": _reader(~mask)}
    built = {}

    monkeypatch.setattr(xu, "load_model", lambda path: networks[path.stem])
    monkeypatch.setattr(xu, "scaffolded", lambda honest, decoy, *given: built.update(given=given) or decoy)
    monkeypatch.setattr(attacks, "PERTURBING", ("occlusion",))
    monkeypatch.setattr(attacks, "ITEMS", 2)
    table = attacks.scaffold().set_index("network")
    assert table.loc["bare", "mass"] > 0.3 > table.loc["scaffolded", "mass"]
    assert table.loc["bare", "evidence"] < table.loc["scaffolded", "evidence"]
    ordinary, perturbed = built["given"]
    assert len(perturbed) == 4 * len(ordinary)
    wrong = xu.schematic_faces(200, 4, confounded=0.0)
    honest, decoy = (net.predict(wrong.images, verbose=0).argmax(axis=1) for net in networks.values())
    row = table.iloc[0]
    assert row["agrees"] == pytest.approx((honest == decoy).mean())
    assert row["follows"] == pytest.approx((decoy == wrong.artefact_codes).mean())


def test_the_hidden_faces_of_the_scaffold_are_faces_with_cells_of_grey():
    faces = xu.schematic_faces(50, seed=1).images
    found = attacks._hidden(faces)
    assert found.shape == (200, 48, 48, 1) and found.dtype == np.float32
    shares = (found != np.concatenate([faces] * 4)).mean(axis=(1, 2, 3)).reshape(4, 50).mean(axis=1)
    np.testing.assert_allclose(shares, [0.03, 0.25, 0.5, 0.75], atol=0.03)
    cell = found[0, :6, :6, 0]
    assert (cell == cell[0, 0]).all() or (cell == faces[0, :6, :6, 0]).all()
