"""How `pytest --nbval` executes the notebooks: quiet, offline, and with every output but stderr compared."""

import os

import pytest

# A solution runs in its chapter, not alone: tests/test_notebook_exercises.py pastes it there.
collect_ignore = ["solutions"]

# Kernels inherit these. TensorFlow still writes a line or two to stderr at start, so stderr is not compared.
os.environ["XAI_PROGRESS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# Figures and values go to a temporary folder, never into a report.
os.environ.pop("XAI_REPORT_DIR", None)
# Figures appear in the page.
os.environ.pop("MPLBACKEND", None)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    collectors = yield
    for collector in collectors:
        if hasattr(collector, "skip_compare"):
            collector.skip_compare += ("stderr",)
    return collectors
