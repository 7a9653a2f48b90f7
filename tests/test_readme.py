"""What README.md promises: its tables are in step with their sources, and its five lines run as they stand."""

import re
from pathlib import Path

import numpy as np
import shapes

import xai_utils as xu
from tools import readme

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_in_step_with_methods_notebooks_and_cards():
    assert readme.updated(TEXT) == TEXT, "run make readme"


def test_the_acceptance_grid_is_in_step_and_has_an_oracle_or_a_reason_in_every_cell():
    assert readme.GRID.read_text(encoding="utf-8") == readme.acceptance_grid(), "run make readme"
    assert set(shapes.COMPARED) == set(xu.METHODS) and {kind for kind, _ in shapes.COMPARED.values()} == set(
        shapes.ORACLES
    )
    assert all(tests for tests in readme.further_tests(xu).values()), "a method has no test of its own"


def five_lines():
    """The code of the section on one's own model."""
    return re.search(r"## Your own model in five lines\n\n```python\n(.*?)```", TEXT, re.S)[1]


def test_your_own_model_in_five_lines_runs_as_printed(tmp_path, monkeypatch):
    code = five_lines()
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith("import")]) <= 5
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XAI_REPORT_DIR", str(tmp_path / "report"))
    found = {}
    exec(code, found)
    assert found["maps"].shape == (3, 40, 1) and np.abs(found["maps"]).max() > 0
    assert (tmp_path / "report" / "figures" / "why.pdf").exists()


def test_every_local_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert links and all((ROOT / link).exists() for link in links), [
        link for link in links if not (ROOT / link).exists()
    ]
