"""Settings of every unit test: quiet, no display, reports in a temporary folder; `--shuffle SEED` mixes the order."""

import gc
import os
import random

import pytest

os.environ["XAI_PROGRESS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.pop("XAI_REPORT_DIR", None)


def pytest_addoption(parser):
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the files and the tests of each in another order")


def pytest_collection_finish():
    """What the imports have made stays until the end: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mix the files, and the tests of each file; the cells of a notebook stay in order."""
    if config.getoption("--shuffle") is None:
        return
    generator, files = random.Random(config.getoption("--shuffle")), {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    for path, tests in files.items():
        if path.suffix == ".py":
            generator.shuffle(tests)
    mixed = list(files.values())
    generator.shuffle(mixed)
    items[:] = [item for tests in mixed for item in tests]
