"""Which backend Keras will run on, known before Keras is imported: the methods differentiate TensorFlow graphs."""

import json
import os
import sys
from pathlib import Path


def check_backend() -> None:
    """Raise ``ImportError`` where Keras is set to another backend than TensorFlow, with what sets it and the cure."""
    name, where = _chosen()
    if name == "tensorflow":
        return
    raise ImportError(
        f"heatproof explains networks on TensorFlow, and {where} sets Keras to the backend {name!r}. Set the "
        "environment variable KERAS_BACKEND=tensorflow before Python imports keras (in a notebook: restart, then "
        "import os; os.environ['KERAS_BACKEND'] = 'tensorflow' in the first cell); a model saved by another backend "
        "as .keras loads all the same"
    )


def _chosen() -> tuple[str, str]:
    """The backend, and what chose it, in the order in which Keras looks: what runs, the environment, keras.json."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend(), "a keras that is already imported"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "the environment variable KERAS_BACKEND"
    path = Path(os.environ.get("KERAS_HOME", Path("~/.keras").expanduser())) / "keras.json"
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("backend", "tensorflow"), str(path)
    except (OSError, ValueError, AttributeError):
        return "tensorflow", "nothing"
