"""Who computes the formulas of relevance propagation: the judge is judged, and the page says what its table says."""

import numpy as np
import pytest
from packaging.requirements import Requirement
from relevance_reference import Network, Options

from tools import relevance_parity
from tools.environment import ROOT
from tools.peers import comparing, relevance_ours
from tools.peers.relevance_answering import answer
from tools.peers.relevance_hand import CASES, GAMMA, HIGH, LOW
from tools.peers.relevance_reasons import REASONS


@pytest.fixture(scope="module")
def table():
    return comparing.read(relevance_parity.TABLE)


def by_loops(case):
    """The reference on the network of a case, which it takes apart itself."""
    model, names = relevance_ours.network(case.parts, case.inputs.shape[1:])
    below, above = (relevance_ours.RULES[rule] for rule in case.rules)
    options = Options(gamma=GAMMA, low=LOW, high=HIGH, epsilon=case.epsilon)
    rule = lambda layer: below if layer.name == names[0] else above  # noqa: E731
    return Network(model, case.inputs[0]).map(0, rule, options).ravel()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_the_numbers_by_hand_are_those_of_the_loops(case):
    """But for an epsilon that is not in units of the size of z: of one layer, worked here."""
    wanted = by_loops(case) if "as it stands" not in case.way else np.array([0.1, 0.1]) / (0.2 + 0.1) * 0.2
    np.testing.assert_allclose(case.by_hand, wanted, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_ours_answers_as_by_hand(case):
    found = answer(relevance_ours.explain, case)
    assert relevance_parity.verdict(found, case.by_hand) == ("none" if case.way in relevance_ours.OTHERS else "yes")


def test_the_page_is_what_the_table_renders_to(table):
    assert relevance_parity.PAGE.read_text(encoding="utf-8") == relevance_parity.page(table)


def test_the_table_has_every_case_and_library_once(table):
    wanted = [(case.network, relevance_parity.text(case.x), case.name, case.way) for case in CASES]
    assert len(set(wanted)) == len(CASES) == len({case.key for case in CASES})
    for _, rows in table.groupby("library"):
        assert list(rows[["network", "x", "rule", "way"]].itertuples(index=False, name=None)) == wanted
    assert set(table["library"]) == {"ours", "zennit", "Captum", "iNNvestigate"}


def test_whatever_differs_has_a_reason_and_nothing_else_has(table):
    differs = table["met"].isin(["no", "refused"])
    assert (differs == (table["reason"] != "")).all() and not differs[table["library"] == "ours"].any()
    keys = {case.key for case in CASES}
    assert all(set(reasons) <= keys for reasons in REASONS.values())


def test_the_versions_of_the_page_are_the_pinned_ones(table):
    locks = ("requirements-innvestigate.txt", "requirements-peers.txt", "requirements.txt")
    lines = [line for lock in locks for line in (ROOT / lock).read_text(encoding="utf-8").splitlines()]
    pins = {pin.name.lower(): str(pin.specifier).removeprefix("==") for pin in map(Requirement, lines)}
    found = dict(zip(table["library"], table["version"], strict=True))
    assert found == {title: pins["keras" if title == "ours" else title.lower()] for title in found}


def test_verdicts_by_hand():
    verdict = relevance_parity.verdict
    assert verdict([2, 1e-5], (2, 0)) == "yes"
    assert verdict([2, 1e-3], (2, 0)) == verdict([2], (2, 0)) == verdict([np.nan, 0], (2, 0)) == "no"
    assert verdict("TypeError: no", (2, 0)) == "refused" and verdict(None, (2, 0)) == "none"


def test_numbers_as_the_page_shows_them():
    assert relevance_parity.text((2, -1e-9, 1 / 3, -8 / 7)) == "(2, 0, 0.3333, -1.143)"
