"""What the notebooks hand to the report: figures, values and tables, one file each.

Files go to the folder that XAI_REPORT_DIR names, below figures/, values/ and tables/; when it is not set, to the one
that heatproof/folders.py says. The report quotes them; it holds no typed result.
"""

import io
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from heatproof import checks, folders
from heatproof.problems import ArgumentTypeError, ArgumentValueError
from heatproof.writing import write

NAME = "small letters, digits and hyphens, such as 'ig-gap-2'"
ALT = "one or two sentences that say what the figure shows"
NUMBER = r"(?<![\w.-])(-?)(\d+)"  # its sign and its digits before the point


def describe(figure: plt.Figure, alt: str) -> plt.Figure:
    """Give a figure its alternative text: a notebook stores it beside the picture when `plt.show()` runs.

    Raises TypeError unless `figure` is a matplotlib figure and `alt` text, ValueError for an empty `alt`.
    """
    if not isinstance(figure, plt.Figure):
        allowed = "a matplotlib figure, as every plot_ function returns"
        raise ArgumentTypeError("figure", type(figure).__name__, allowed)
    if not checks.as_text("alt", alt, f"text, {ALT}").strip():
        raise ArgumentValueError("alt", "an empty text", ALT)
    # IPython asks an object for this method first and merges what it returns with the picture.
    texts = {kind: {"alt": alt} for kind in ("image/png", "image/jpeg")}
    figure._repr_mimebundle_ = lambda **options: ({}, texts)  # type: ignore[attr-defined]  # IPython's
    return figure


def _report_path(folder: str, name: str) -> Path:
    """Return the path without extension of a file below the folder of the report."""
    if not re.fullmatch(r"[a-z0-9-]+", checks.as_text("name", name, f"text of {NAME}")):
        raise ArgumentValueError("name", checks.shown(name), NAME)
    return folders.report_folder() / folder / name


def _write(path: Path, content: str | bytes) -> Path:
    """Write one file, whole or not at all, and return its path."""
    write(path, content, argument="name", cure="make room, or let XAI_REPORT_DIR name another folder")
    return path


def save_figure(figure: plt.Figure, name: str, alt: str, *, photograph: bool = False) -> Path:
    """Write figures/NAME.pdf (for the report) and figures/NAME.png (150 dpi); return the path of the PDF.

    With `photograph` one file takes the place of both, figures/NAME.jpg (100 dpi): for pages full of pictures.
    `alt` says in one or two sentences what the figure shows; it goes into both files and into the notebook.
    Equal figures give equal bytes. Raises ValueError for a name outside [a-z0-9-] and an empty `alt`.
    """
    path = _report_path("figures", name)
    photograph = checks.as_flag("photograph", photograph)
    describe(figure, alt)
    kinds: dict[str, dict] = {
        "png": {"dpi": 150, "metadata": {"Description": alt, "Software": None}},
        "pdf": {"dpi": 300, "metadata": {"Subject": alt, "CreationDate": None, "Creator": None, "Producer": None}},
    }
    if photograph:
        kinds = {"jpg": {"dpi": 100, "pil_kwargs": {"quality": 75, "comment": alt.encode()}}}
    for kind, arguments in kinds.items():
        content = io.BytesIO()
        with plt.rc_context({"pdf.fonttype": 42}):
            figure.savefig(content, format=kind, **arguments)
        path = _write(path.with_suffix(f".{kind}"), content.getvalue())
    return path


def _agrees(value: float, text: str) -> bool:
    """Tell whether a number in `text` is `value`, or `value` in percent, rounded to the digits written."""
    plain = re.sub(r"\\(?:times|cdot)\s*10\^\{?(-?\d+)\}?", r"e\1", text)
    plain = re.sub(r"[$,{}]|\\,", "", plain)
    for number in re.findall(r"-?\d+(?:\.\d+)?(?:\s*e-?\d+)?", plain):
        mantissa, _, exponent = number.partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(mantissa.strip().partition(".")[2]))
        shown = float(number.replace(" ", ""))
        if any(abs(shown - value * factor) <= 0.5001 * unit for factor in (1, 100 if "%" in text else 1)):
            return True
    return False


def save_value(name: str, value: float, text: str) -> Path:
    r"""Write values/NAME.tex holding `text` alone, such as "0.943" or r"94.3\,\%"; return its path.

    `value` is the number behind the text. Raises ValueError when it is not finite, when no number in the
    text equals it (or 100 times it, beside a percent sign) to the digits written, and for a name outside
    [a-z0-9-].
    """
    try:
        number = math.nan if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError("value", f"{type(value).__name__} for '{name}'", "one finite number") from None
    if not math.isfinite(number):
        raise ArgumentValueError("value", f"{checks.shown(value)} for '{name}'", "one finite number", "mend its source")
    if not _agrees(number, checks.as_text("text", text, "text, the number as the report shows it")):
        given = f"{text!r}, which does not show value {value!r}"
        raise ArgumentValueError("text", given, cure="format the text from the value")
    return _write(_report_path("values", name).with_suffix(".tex"), text)


def save_table(name: str, frame: pd.DataFrame, *, formats: dict | None = None, headers: dict | None = None) -> Path:
    r"""Write tables/NAME.tex (a booktabs tabular) and NAME.csv (raw values); return the path of the former.

    `formats` maps a column to a format such as "{:.2f}" or to a function; `headers` maps a column to its
    title. Text is escaped for LaTeX except between dollar signs; a missing value becomes "--"; the index is
    left out. Numbers stand at the right, also those written as text, such as "0.03 [-0.08, 0.01]", whose points
    then stand below one another; other text stands at the left. A hyphen before a number becomes a minus.
    Raises TypeError unless `frame` is a pandas DataFrame, and ValueError when it is empty, when `formats` or
    `headers` names another column, or for a name outside [a-z0-9-].
    """
    if not isinstance(frame, pd.DataFrame):
        raise ArgumentTypeError("frame", type(frame).__name__, "a pandas DataFrame")
    if frame.empty:
        raise ArgumentValueError("frame", f"shape {frame.shape}", "at least one row and one column")
    formats, headers = _columns("formats", formats), _columns("headers", headers)
    for argument, given in {"formats": formats, "headers": headers}.items():
        if unknown := [column for column in given if column not in frame]:
            raise ArgumentValueError(argument, f"the names {unknown}", f"the columns {list(frame.columns)}")
    path = _report_path("tables", name)
    cells = {column: _cells(frame[column], formats.get(column, "{}")) for column in frame}
    right = [column for column in frame if _of_numbers(frame[column], cells[column])]
    shown = pd.DataFrame(cells | {column: _level(cells[column]) for column in right}).rename(columns=headers)
    sides = "".join("r" if column in right else "l" for column in frame)
    style = shown.style.format(_with_minus, escape="latex-math").format_index(escape="latex-math", axis=1)
    latex = style.hide(axis="index").to_latex(hrules=True, column_format=sides)
    raw = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    _write(path.with_suffix(".csv"), raw)
    return _write(path.with_suffix(".tex"), latex)


def _columns(argument: str, given: dict | None) -> dict:
    """Return a dictionary of columns; None gives an empty one."""
    if given is not None and not isinstance(given, dict):
        raise ArgumentTypeError(argument, type(given).__name__, "a dictionary {column: ...}, or None")
    return given or {}


def _cells(column: pd.Series, form: str | Callable) -> list[str]:
    """Return the values of a column as text; missing ones as two hyphens."""
    form = form.format if isinstance(form, str) else form
    return ["--" if pd.isna(value) else str(form(value)) for value in column]


def _of_numbers(column: pd.Series, cells: list[str]) -> bool:
    """Tell whether a column holds numbers: by its type, or because no cell has a letter and one has a digit."""
    text = "".join(cells)
    written = any(letter.isdigit() for letter in text) and not any(letter.isalpha() for letter in text)
    return written or pd.api.types.is_numeric_dtype(column)


def _level(cells: list[str]) -> list[str]:
    r"""Return cells of equally many numbers with a \phantom for each sign and digit that one lacks, but the first."""
    known = [row[1:] for row in (re.findall(NUMBER, cell) for cell in cells) if row]
    if "$" in "".join(cells) or len({len(row) for row in known}) != 1:
        return cells
    places = list(zip(*known, strict=True))
    widths = [(any(sign for sign, _ in place), max(len(digits) for _, digits in place)) for place in places]

    def padded(found: re.Match, wanted: Iterator) -> str:
        signed, digits = next(wanted)
        blank = "-" * (signed and not found[1]) + "0" * (digits - len(found[2]))
        return rf"$\phantom{{{blank}}}${found[0]}" if blank else found[0]

    return [re.sub(NUMBER, partial(padded, wanted=iter([(False, 0), *widths])), cell) for cell in cells]


def _with_minus(cell: str) -> str:
    """Return LaTeX in which a hyphen before a number is a minus; what stands between dollar signs is left alone."""
    minus = r"(?<!\\)\$.*?(?<!\\)\$|(?<![\w.-])-(?=\.?\d)"
    return re.sub(minus, lambda found: "$-$" if found[0] == "-" else found[0], cell)
