"""Oracles on what the files of the report hold."""

import os
import tempfile
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from PIL import Image

from heatproof.display import saving

matplotlib.use("Agg")
CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Give every test its own report folder and the untouched style of matplotlib."""
    monkeypatch.setenv("XAI_REPORT_DIR", str(tmp_path / "report"))
    with plt.rc_context():
        yield tmp_path / "report"
    plt.close("all")


def simple_figure():
    figure, axes = plt.subplots()
    axes.plot([1, 3, 2])
    return figure


def test_saved_figures_are_equal_byte_for_byte_and_carry_alt_text(folder):
    names = ["figures/a.pdf", "figures/a.png"]
    assert saving.save_figure(simple_figure(), "a", "A line.") == folder / "figures/a.pdf"
    first = [(folder / name).read_bytes() for name in names]
    saving.save_figure(simple_figure(), "a", "A line.")
    assert first == [(folder / name).read_bytes() for name in names]
    assert b"CreationDate" not in first[0] and b"A line." in first[0] and b"/Type3" not in first[0]
    assert Image.open(folder / names[1]).text == {"Description": "A line."}
    assert sorted(os.listdir(folder / "figures")) == ["a.pdf", "a.png"]


def test_a_page_of_photographs_is_one_small_file(folder):
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.imshow(np.random.default_rng(0).random((200, 300, 3)))
    path = saving.save_figure(figure, "noise", "Noise.", photograph=True)
    assert os.listdir(folder / "figures") == ["noise.jpg"]
    with Image.open(path) as picture:
        assert picture.format == "JPEG" and picture.size == (300, 200) and picture.info["comment"] == b"Noise."


def test_a_notebook_stores_the_alt_text_beside_the_picture():
    formatter = InteractiveShell.instance().display_formatter
    select_figure_formats(InteractiveShell.instance(), {"png"})
    data, metadata = formatter.format(saving.describe(simple_figure(), "A line."))
    assert metadata["image/png"] == {"alt": "A line."} and data["image/png"]
    assert formatter.format(simple_figure())[1] == {}


def test_a_failed_write_leaves_the_old_file_alone(folder, monkeypatch):
    saving.save_value("x", 0.5, "0.5")

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        saving.save_value("x", 0.25, "0.25")
    assert os.listdir(folder / "values") == ["x.tex"]
    assert (folder / "values/x.tex").read_text() == "0.5"


def files_of_the_report():
    """What lies at the top of the checkout and anywhere in its report: files that are written there are seen."""
    return {*CHECKOUT.iterdir(), *(CHECKOUT / "report").rglob("*")}


def test_the_guard_sees_the_report_of_the_checkout():
    assert {CHECKOUT / name for name in ("xai_utils.py", "report", "report/references.bib")} <= files_of_the_report()


def test_without_a_report_folder_files_go_to_a_temporary_one(tmp_path, monkeypatch):
    monkeypatch.delenv("XAI_REPORT_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = files_of_the_report()
    path = saving.save_value("x", 1, "1")
    assert tmp_path in path.parents and CHECKOUT not in path.parents
    assert files_of_the_report() == before


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.94321, "0.943"), (0.94321, r"94.3\,\%"), (-2, "$-2$"), (35887, "35{,}887"), (2.04e-4, r"$2.0\times 10^{-4}$")],
)
def test_a_value_file_holds_the_text_alone(folder, value, text):
    assert saving.save_value("x-1", value, text) == folder / "values/x-1.tex"
    assert (folder / "values/x-1.tex").read_bytes() == text.encode()


@pytest.mark.parametrize(
    ("value", "text"), [(0.94321, "0.944"), (0.943, "94.3"), (2, "$-2$"), (2e-4, "0.002"), (1, "one")]
)
def test_a_text_that_is_not_its_value_is_refused(folder, value, text):
    with pytest.raises(ValueError, match="does not show value"):
        saving.save_value("x", value, text)
    assert not folder.exists()


def test_table_is_escaped_aligned_and_kept_raw_beside(folder):
    frame = pd.DataFrame({"the_method": ["A & B_1", "50 % #2"], "gap": [0.12345678, np.nan], "n": [3, 40]})
    path = saving.save_table(
        "t", frame, formats={"gap": "{:.1%}", "n": lambda n: f"$10^{n}$"}, headers={"gap": r"$\Delta$ (%)"}
    )
    assert path == folder / "tables/t.tex"
    assert path.read_text().split("\n") == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"the\_method & $\Delta$ (\%) & n \\",
        r"\midrule",
        r"A \& B\_1 & 12.3\% & $10^3$ \\",
        r"50 \% \#2 & -- & $10^40$ \\",
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]
    lines = (folder / "tables/t.csv").read_bytes().decode()
    assert lines == "the_method,gap,n\nA & B_1,0.123457,3\n50 % #2,,40\n"
    assert list(frame.columns) == ["the_method", "gap", "n"]


def test_numbers_written_as_text_stand_below_one_another_and_have_a_minus(folder):
    frame = pd.DataFrame({"a-1": ["b-2", "-1 to 1", "costs \\$5, $x = -3$"], "gap": [-0.5, 2.0, np.nan]})
    frame["tau"] = ["-0.03 [-0.08, 0.01]", None, "0.61 [9.54, 10.67]"]
    frame["power"], frame["odd"] = ["9 (2)", "10 (-13)", "1 (0)"], ["-1 [0]", "$-1$", "2016-11-30"]
    frame["mixed"] = ["1 [2]", "30", "-4 [5]"]  # not equally many numbers: nothing stands below another
    lines = saving.save_table("t", frame).read_text().split("\n")
    assert lines[0] == r"\begin{tabular}{lrrrrr}"
    assert lines[2] == r"a-1 & gap & tau & power & odd & mixed \\"
    rows = [
        r"b-2 & $-$0.5 & $-$0.03 [$-$0.08, $\phantom{0}$0.01] & 9 ($\phantom{-0}$2) & $-$1 [0] & 1 [2] \\",
        r"$-$1 to 1 & 2.0 & -- & 10 ($-$13) & $-1$ & 30 \\",
        r"costs \$5, $x = -3$ & -- & 0.61 [$\phantom{-}$9.54, 10.67] & 1 ($\phantom{-0}$0) & 2016-11-30 & $-$4 [5] \\",
    ]
    assert lines[4:7] == rows
    assert (folder / "tables/t.csv").read_text().splitlines()[1] == 'b-2,-0.5,"-0.03 [-0.08, 0.01]",9 (2),-1 [0],1 [2]'


# -- bad input


BAD = {
    "name": (lambda: saving.save_value("a_b", 1, "1"), "small letters, digits and hyphens"),
    "name with a path": (lambda: saving.save_value("../a", 1, "1"), "small letters"),
    "value": (lambda: saving.save_value("a", np.nan, "nan"), "finite"),
    "alt": (lambda: saving.save_figure(simple_figure(), "a", " "), "alt: got an empty text"),
    "empty table": (lambda: saving.save_table("a", pd.DataFrame()), "at least one row"),
    "column": (
        lambda: saving.save_table("a", pd.DataFrame({"b": [1]}), headers={"c": "d"}),
        "headers: got the names .*the columns",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_is_written(case, folder):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
    assert not folder.exists()


def test_a_table_that_is_no_data_frame_is_refused(folder):
    with pytest.raises(TypeError, match="DataFrame"):
        saving.save_table("a", [[1]])
    assert not folder.exists()
