"""The panel's comparison: what it must notice, and what counts as equal. Its questions are asked by hand."""

import numpy as np
import pytest

from tools.panel import __main__ as panel

ANSWERS = {"maps": np.array([0.5, np.nan, -1.0], np.float32), "count": np.array(3), "name": np.array(["a", "b"])}
ONE_BIT = np.frombuffer((ANSWERS["maps"].view(np.uint32) ^ np.uint32([1, 0, 0])).tobytes(), np.float32)


def compared(folder, answers):
    np.savez(folder / "one.npz", **ANSWERS)
    np.savez(folder / "other.npz", **answers)
    return panel.main(["compare", str(folder / "one.npz"), str(folder / "other.npz")])


def test_equal_bits_are_equal_and_nan_is_nan(tmp_path, capsys):
    assert compared(tmp_path, {name: array.copy() for name, array in ANSWERS.items()}) == 0
    assert capsys.readouterr().out == "3 answers, bit-identical\n"


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("maps", ONE_BIT, "maps: 1 of 3 values differ, by up to 5.96e-08"),
        ("maps", ANSWERS["maps"].astype(np.float64), "maps: float32 (3,), float64 (3,)"),
        ("maps", ANSWERS["maps"][None], "maps: float32 (3,), float32 (1, 3)"),
        ("maps", np.array([0.5, 0, -1], np.float32), "maps: 1 of 3 values differ, by up to 0"),
        ("count", np.array(4), "count: 1 of 1 values differ"),
        ("name", np.array(["a", "c"]), "name: 1 of 2 values differ"),
    ],
)
def test_one_difference_is_named(tmp_path, capsys, name, changed, told):
    assert compared(tmp_path, ANSWERS | {name: changed}) == 1
    assert capsys.readouterr().out == told + "\n"


def test_zero_is_not_minus_zero():
    zero = np.zeros(2, np.float32)
    assert panel.differences({"map": zero}, {"map": -zero}) == ["map: 2 of 2 values differ, by up to 0"]


def test_a_name_that_only_one_has_is_named_whichever_has_it():
    fewer = {name: array for name, array in ANSWERS.items() if name != "count"}
    assert panel.differences(ANSWERS, fewer) == ["count: only in the first"]
    assert panel.differences(fewer, ANSWERS) == ["count: only in the second"]
