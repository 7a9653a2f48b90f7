"""One library's process on the cases by hand: python -m tools.peers.relevance_answering MODULE FILE writes FILE, JSON.

A module has PACKAGE, TITLE and `explain(case)`: the relevance of the inputs; None where the library has no such rule.
What a library raises is its answer as well.
"""

import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tools.peers.relevance_hand import CASES


def answer(explain, case):
    """Numbers, None, or how the library refuses."""
    try:
        found = explain(case)
    except Exception as error:  # noqa: BLE001 - whatever a library raises is what its user sees
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return None if found is None else np.asarray(found, float).ravel().tolist()


def main(module, file):
    library = importlib.import_module(module)
    found = {"title": library.TITLE, "version": version(library.PACKAGE)}
    found["answers"] = {case.key: answer(library.explain, case) for case in CASES}
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"  {library.TITLE} {found['version']}: {len(CASES)} cases", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
