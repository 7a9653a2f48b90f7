"""The parity tables: every row met or explained, their pages rendered from them; the PyTorch twin of a network."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import xai_utils as xu
from tools import metric_hand, metric_parity, parity, relevance_parity, word_parity
from tools.peers import answering, comparing, environment, hand_ours, making
from tools.peers.case import Case, times_covered
from tools.peers.comparisons import COMPARISONS
from tools.peers.metric_comparisons import METRIC_COMPARISONS, NO_PEER, reduced
from tools.peers.metric_hand import CASES
from tools.peers.ours import Ours

ROOT = Path(__file__).resolve().parent.parent
WING = ROOT / "tools" / "peers"

OPEN = {
    ("score_cam", "tf-keras-vis"),
    ("integrated_gradients", "Xplique"),
    ("grad_cam_plus_plus", "Xplique"),
    ("grad_cam", "PAIR saliency"),
    ("deep_lift", "Captum"),
    ("lrp", "iNNvestigate"),
}


@pytest.fixture(scope="module")
def table():
    return comparing.read(parity.TABLE)


@pytest.fixture(scope="module")
def metric_table():
    return comparing.read(metric_parity.TABLE)


# --- the committed table ----------------------------------------------------------------------------------------


def test_every_row_is_met_or_has_a_reason(table):
    """The rows of OPEN are apart although the step that is known to differ was done the same way."""
    assert {tuple(row) for row in table.loc[table["met"] == "no", ["method", "peer"]].to_numpy()} <= OPEN
    assert_met_or_explained(table, at_least=60)


def assert_met_or_explained(table, at_least):
    assert set(table["met"]) <= {"yes", "adapted", "none", "no"}
    met = table[table["met"] == "yes"]
    assert len(met) > at_least and (met["difference"].astype(float) <= comparing.THRESHOLD).all()
    apart = table[table["met"] == "adapted"]
    assert (apart["difference"].astype(float) > comparing.THRESHOLD).all()
    assert (apart["adapted"].astype(float) <= comparing.THRESHOLD).all()
    assert (table[table["met"] != "yes"]["reason"].str.len() > 10).all()


def test_the_twin_of_the_table_computes_what_keras_computes(table):
    twins = table[table["method"] == "logits"]
    assert set(twins["network"]) == set(table["network"])
    assert (twins["difference"].astype(float) <= 1e-5).all()


def test_the_page_is_what_the_table_renders_to(table):
    assert parity.PAGE.read_text(encoding="utf-8") == parity.page(table)


@pytest.fixture(scope="module")
def pins():
    found = {}
    for name in ("requirements.txt", "requirements-peers.txt", "requirements-innvestigate.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            pin = Requirement(line)
            found.setdefault(canonicalize_name(pin.name), str(pin.specifier).removeprefix("=="))
    return found


def test_the_versions_of_the_table_are_the_pinned_ones(table, pins):
    pinned = {title: pins[canonicalize_name(title.split()[-1])] for title in parity.PEERS.values()}
    assert dict(zip(table["peer"], table["version"], strict=True)) == pinned


# --- the committed table of the metrics -------------------------------------------------------------------------


def test_every_row_of_the_metrics_is_met_or_explained(metric_table):
    """On every network, and no difference is left open; ROAD of Quantus fails on inputs of several channels alone."""
    assert set(metric_table["met"]) == {"yes", "adapted", "none"}
    absent = metric_table[metric_table["met"] == "none"]
    assert set(absent[["metric", "network"]].itertuples(index=False, name=None)) == {("road", "flatten")}
    assert absent["reason"].str.startswith("raises an IndexError").all()
    assert_met_or_explained(metric_table, at_least=20)
    assert set(metric_table.groupby(["metric", "step", "peer"]).size()) == {3}


def test_the_table_of_the_metrics_has_every_comparison(metric_table):
    wanted = {(one.method, one.step, metric_parity.TITLES[one.peer]) for one in METRIC_COMPARISONS}
    assert set(metric_table[["metric", "step", "peer"]].itertuples(index=False, name=None)) == wanted


def test_every_metric_has_a_peer_or_a_reason_why_not(metric_table):
    assert set(metric_table["metric"]) | set(NO_PEER) == set(xu.METRICS)
    assert not set(metric_table["metric"]) & set(NO_PEER)
    page = metric_parity.PAGE.read_text(encoding="utf-8")
    assert all(f"`{metric}`: {reason}." in page for metric, reason in NO_PEER.items())


def test_the_page_of_the_metrics_is_what_their_table_renders_to(metric_table):
    assert metric_parity.PAGE.read_text(encoding="utf-8") == metric_parity.page(metric_table)


def test_the_versions_of_the_metrics_table_are_the_pinned_ones(metric_table, pins):
    pinned = {title: pins[title.lower()] for title in metric_parity.TITLES.values()}
    assert dict(zip(metric_table["peer"], metric_table["version"], strict=True)) == pinned


def test_ours_answers_the_cases_by_hand():
    verdicts = [
        relevance_parity.verdict(answer if answer is None else [answer], case.by_hand)
        for case, answer in zip(CASES, hand_ours.answers(), strict=True)
    ]
    assert verdicts.count("none") == 1 and set(verdicts) == {"yes", "none"}


def test_the_table_by_hand_has_every_case_and_a_reason_where_quantus_differs(pins):
    found = comparing.read(metric_hand.TABLE)
    wanted = [(case.name, relevance_parity.text(case.by_hand)) for case in CASES]
    assert list(found[["case", "by_hand"]].itertuples(index=False, name=None)) == wanted
    assert set(found["ours_met"]) == {"yes", "none"} and set(found["version"]) == {pins["quantus"]}
    differs = found["theirs_met"].isin(["no", "refused"])
    assert (differs == (found["reason"] != "")).all() and 0 < differs.sum() < len(found)
    assert [case.reason for case in CASES] == list(found["reason"])


def test_the_difference_of_metrics_is_of_the_worst_value_by_hand():
    """2 and 100 of one input, apart by 1 and 1: 1/2, not 1/100."""
    theirs = np.array([[2.0, 100]])
    assert metric_parity.difference(theirs + 1, theirs) == 0.5


def test_ranks_by_hand():
    """The largest has the number of positions; of two equals the earlier ranks higher."""
    assert metric_parity.by_rank(np.array([[[5, 7, 5, 0]], [[1, 1, 1, 1]]])).tolist() == [
        [[3, 4, 2, 1]],
        [[4, 3, 2, 1]],
    ]


def test_ranks_of_regions_by_hand(monkeypatch):
    """Sums 5, 4, 7, 4: the two that are alike rank by place."""
    monkeypatch.setattr(metric_parity, "REGION", 2)
    found = metric_parity.by_region(np.array([[[[1, 1, 2, 0], [2, 1, 1, 1], [7, 0, 1, 1], [0, 0, 1, 1]]]]))
    assert found.tolist() == [[[[3, 3, 2, 2], [3, 3, 2, 2], [4, 4, 1, 1], [4, 4, 1, 1]]]]


def test_maps_less_their_smallest_value():
    assert reduced(np.array([[[3, 5], [2, 2]]])).tolist() == [[[0, 2], [0, 0]]]


# --- what the numbers mean --------------------------------------------------------------------------------------


def test_the_difference_is_of_the_worst_input_by_hand():
    """Inputs of largest value 4 and 10, apart by 1 and 1: 1/4."""
    theirs = np.array([[4.0, -1], [-10, 3]])
    assert comparing.relative_difference(theirs + [[0, 1], [1, 0]], theirs) == 0.25
    assert comparing.relative_difference(np.zeros((1, 2)), np.zeros((1, 2))) == 0
    assert comparing.relative_difference(np.ones((1, 2)), np.zeros((1, 2))) == np.inf


def test_verdicts():
    assert comparing.verdict(1e-6, None) == "yes"
    assert comparing.verdict(0.3, 1e-6) == "adapted"
    assert comparing.verdict(0.3, None) == comparing.verdict(0.3, 2e-4) == "no"
    assert comparing.verdict(np.nan, None) == "no"


def test_blocks_by_hand():
    assert making.blocks((2, 4), (1, 2)).tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]
    assert making.blocks((6,), (2,)).tolist() == [0, 0, 1, 1, 2, 2]


def test_windows_that_overlap_are_counted():
    """Side 4, patch 2, stride 1: positions lie in 1, 2, 2, 1 windows; side 2: in the only one."""
    np.testing.assert_array_equal(times_covered((4,), (2,), (1,)), [1, 2, 2, 1])
    np.testing.assert_array_equal(times_covered((4, 2), (2, 2), (1, 1)), [[1, 1], [2, 2], [2, 2], [1, 1]])
    np.testing.assert_array_equal(times_covered((4, 3), (2, 1), (2, 2)), [[1, 0, 1]] * 4)


# --- the wrappers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flatten(tmp_path_factory):
    """The committed table's second network, its inputs and draws, in a folder of its own."""
    name, model, inputs = next(network for network in making.networks() if network[0] == "flatten")
    return making.make_case(name, model, inputs, folder=tmp_path_factory.mktemp("parity"))


def test_a_case_comes_back_from_its_files(flatten):
    found = Case.load(flatten.folder)
    assert (found.layer, found.fill, found.relevance) == ("conv_2", flatten.fill, None)
    for name in ("inputs", "targets", "patch", "stride", "segments", "noise", "masks", "visible"):
        np.testing.assert_array_equal(getattr(found, name), getattr(flatten, name))


def test_the_network_of_a_case_is_the_same_before_the_softmax(flatten):
    z, p = (np.asarray(flatten.network(ending)(flatten.inputs)) for ending in ("logits", "model"))
    np.testing.assert_allclose(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), p, rtol=1e-5)


def test_the_first_inputs_of_a_case_keep_its_networks(flatten):
    two = flatten.first(2)
    assert len(two.inputs) == len(two.targets) == len(two.segments) == len(two.noise) == 2
    assert two.masks is flatten.masks and two.network() is flatten.network()
    np.testing.assert_array_equal(two.one_hot.argmax(axis=1), flatten.targets[:2])


@pytest.mark.filterwarnings("ignore")  # of the library
@pytest.mark.parametrize("peer", ["tf_keras_vis", "lime"])
def test_a_library_compares_today_as_the_table_says(peer, flatten, table):
    """The libraries of our own environment, in this process: the same verdict in every row."""
    answering.main(peer, f"tools.peers.with_{peer}", flatten.folder)
    wanted = [one for one in COMPARISONS if one.peer == peer]
    rows = comparing.compare(flatten, Ours(flatten), wanted, {peer: environment.TITLES[peer]})
    committed = table[(table["peer"] == environment.TITLES[peer]) & (table["network"] == "flatten")]
    assert [(row["method"], row["step"], row["version"], row["met"]) for row in rows] == list(
        committed[["method", "step", "version", "met"]].itertuples(index=False, name=None)
    )


# --- the scores of sentences ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def word_table():
    return word_parity.read()


def test_our_score_of_sentences_is_theirs_and_the_page_says_so(word_table, pins):
    assert set(word_table["sentences"]) == set(word_parity.CASES) and set(word_table["met"]) == {"yes"}
    assert (word_table["difference"].astype(float) <= 1e-9).all()
    assert set(word_table["version"]) == {pins["pycocoevalcap"]}
    assert word_parity.PAGE.read_text(encoding="utf-8") == word_parity.page(word_table)


def test_our_scores_are_those_of_the_table(word_table):
    for name, (sentences, references) in word_parity.cases().items():
        (stored,) = word_table.loc[word_table["sentences"] == name, "cider"]
        assert xu.cider(sentences, references).mean() == pytest.approx(float(stored), abs=6e-5)


# --- the other environment --------------------------------------------------------------------------------------


def test_the_peers_are_pinned_without_addresses():
    for lock in (environment.REQUIREMENTS, environment.OLD_REQUIREMENTS):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text and "@" not in text
        assert all(str(Requirement(line).specifier).startswith("==") for line in text.splitlines())


def test_every_library_that_a_peer_imports_is_pinned_for_it():
    ours = {"tools", "heatproof", "xai_utils"}
    for path in [*WING.glob("with_*.py"), *(WING / f"{peer}.py" for peer in metric_parity.TITLES)]:
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            found |= {name.split(".")[0] for name in names}
        peer = path.stem.removeprefix("with_")
        inside = peer in set(environment.TITLES) - set(environment.ELSEWHERE)
        lock = "requirements.txt" if inside else "requirements-peers.txt"
        lock = "requirements-innvestigate.txt" if peer == "innvestigate" else lock
        pins = (ROOT / lock).read_text(encoding="utf-8")
        pinned = {canonicalize_name(Requirement(line).name) for line in pins.splitlines()}
        pinned |= {"crp"} if "zennit-crp" in pinned else set()
        pinned |= {"sklearn"} if "scikit-learn" in pinned else set()
        pinned |= {"skimage"} if "scikit-image" in pinned else set()
        pinned |= {"tensorflow"} if "tensorflow-cpu" in pinned else set()
        missing = {canonicalize_name(name) for name in found - ours - set(sys.stdlib_module_names)} - pinned
        assert not missing, f"{path.name}: {missing}"


TWIN = """
import keras, numpy as np, torch
from keras import layers
from tools.peers.twin import to_torch, twin

def check(shape, *parts):
    compare(keras.Sequential([keras.Input(shape), *parts]))

def compare(model, spread=1):
    generator = np.random.default_rng(0)
    for variable in model.weights:
        values = generator.normal(0, 0.3, variable.shape)
        variable.assign(np.abs(values) if variable.name == "moving_variance" else values)
    x = generator.normal(0, spread, (3, *model.input_shape[1:])).astype("float32")
    theirs = model(x).numpy()
    found = twin(model)(to_torch(x)).detach().numpy()
    assert np.abs(found - theirs).max() <= 1e-5 * np.abs(theirs).max() > 0, (found, theirs)

C1, C2 = layers.Conv1D, layers.Conv2D
check((9, 7, 2), C2(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(5))
check((9, 8, 2), C2(4, (5, 2), strides=(2, 3), padding="same"), layers.ReLU(), layers.Flatten(), layers.Dense(5))
check((8, 8, 1), C2(4, 3, dilation_rate=2, padding="same"), layers.GlobalAveragePooling2D(), layers.Dense(3))
check((11, 3), C1(4, 4, strides=2, padding="same", activation="relu"), layers.MaxPooling1D(2, 1),
      C1(5, 3, use_bias=False), layers.Dropout(0.5), layers.Flatten(), layers.Dense(6, activation="relu"))
inputs = keras.Input((11, 8, 3))
x = layers.ZeroPadding2D(((0, 1), (2, 0)))(layers.Rescaling(0.5, -0.25)(inputs))
x = layers.ReLU(6)(layers.BatchNormalization(epsilon=0.01)(x))
y = layers.DepthwiseConv2D(3, strides=2, padding="same", name="deep")(x)
x = layers.Conv2D(3, 1, strides=2, padding="same", activation="relu")(x)
x = layers.Add()([y, x, layers.BatchNormalization(scale=False, center=False)(y)])
compare(keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))), 20)
for word, part in (("softmax", layers.Dense(3, activation="softmax")), ("another ReLU", layers.ReLU(3))):
    try:
        check((4, 4, 1), layers.Flatten(), part)
    except ValueError as refused:
        assert word in str(refused)
    else:
        raise AssertionError(word + " must be refused")
"""


def test_the_twin_equals_keras_on_every_kind_of_layer():
    peers = environment.VENV / "bin" / "python"
    python = sys.executable if find_spec("torch") else str(peers) if peers.exists() else None
    if python is None:
        pytest.skip("PyTorch is in the environment of `make parity` only")
    done = subprocess.run([python, "-c", TWIN], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
