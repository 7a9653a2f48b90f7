"""Networks on disk: saving with a card, and loading that runs no code of the file.

A *card* is a JSON file beside the model (``models/NAME.keras``, ``models/NAME.json``) that says what the network
was trained on, how it was chosen, what its inputs must look like and how well it does, with intervals.
"""

import datetime
import json
import os
import re
import zipfile
from pathlib import Path

import keras
import numpy as np

from heatproof import checks
from heatproof.networks import opening
from heatproof.networks.familiar import fitting, of_card
from heatproof.problems import ArgumentFileError, ArgumentProblem, ArgumentTypeError, ArgumentValueError
from heatproof.writing import replacing

CARD_KEYS = (
    "name",
    "data",
    "split",
    "input_shape",
    "input_range",
    "class_names",
    "seed",
    "command",
    "epochs",
    "parameters",
    "accuracy",
    "confusion_matrix",
    "date",
    "versions",
    "notes",
)
MAY = ("familiar",)  # keys of a card that may be left out
ACCURACY_KEYS = ("accuracy", "correct", "total", "interval")


# ----------------------------------------------------------------------------------------------------- files


def load_model(
    path: str | os.PathLike, input_range: tuple[float, float] | None = None, custom_objects: dict | None = None
) -> keras.Model:
    """Load a Keras classifier without running code that its file carries.

    ``path`` ends in ``.keras`` or in the legacy ``.h5``; files of Keras 2 load too, HDF5 that is named .keras among
    them. The model comes back uncompiled, with three attributes from the card beside the file, None where it says
    nothing: ``input_range`` ``(low, high)``, ``class_names``, and ``familiar``, what `strangeness` asks. The argument
    ``input_range`` wins over the card.

    ``custom_objects`` maps names to what the file only names: layer classes and activations of your own, and, in files
    of Keras 2, functions of TensorFlow (``{"tf.sort": keras.ops.sort}``).

    Raises ``FileNotFoundError`` for a missing file and ``ValueError`` for an unknown suffix, a damaged file, a file
    with weights alone, a class or function that is not known (its name is told), and a model with a Lambda layer (a
    Lambda layer stores Python code, which loading would run).
    """
    path = _check_model_path(path, must_exist=True)
    if input_range is not None:
        input_range = checks.as_range("input_range", input_range)
    model = opening.read(path, opening.check_custom_objects(custom_objects))
    card = read_card(path) if path.with_suffix(".json").is_file() else {}
    if input_range is None and "input_range" in card:
        input_range = tuple(float(bound) for bound in card["input_range"])
    model.input_range = input_range
    model.class_names = tuple(card["class_names"]) if "class_names" in card else None
    model.familiar = fitting(model, card["familiar"]) if "familiar" in card else None
    return model


def save_model(model: keras.Model, path: str | os.PathLike, card: dict) -> None:
    """Write ``models/NAME.keras`` and its card ``models/NAME.json``, both or neither.

    ``card`` needs the keys of ``CARD_KEYS``; ``input_shape``, ``parameters``, ``date`` and ``versions`` are filled in
    when absent, and ``familiar`` may stay absent. ``accuracy`` maps the name of a part to ``{accuracy, correct, total,
    interval}`` (see ``measure``).

    Raises ``ValueError`` when the card is incomplete or contradicts the model; then nothing is written.
    """
    path = _check_model_path(path, must_exist=False)
    if path.suffix != ".keras":
        raise ArgumentValueError("path", f"{path}, which ends in '{path.suffix}'", ".keras for a new model")
    if not isinstance(model, keras.Model) or not model.built:
        raise ArgumentTypeError("model", type(model).__name__, "a Keras model that was called once")
    if not isinstance(card, dict):
        raise ArgumentTypeError("card", type(card).__name__, f"a dictionary with the keys {list(CARD_KEYS)}")
    card = _complete_card(model, card)
    _check_card(model, card)
    with replacing(path, path.with_suffix(".json")) as (new_model, new_card):
        model.save(new_model)
        without_newer_words(new_model)
        new_card.write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def without_newer_words(path: Path) -> None:
    """Leave the arguments `input_axes` and `output_axes` that are null out of a saved model, and compress it.

    The initializers of Keras 3.15 write them; Keras 3.13 and 3.14 refuse a file that names what they do not know.
    """
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in members:
            if info.filename == "config.json":
                content = re.sub(rb', "(?:in|out)put_axes": null', b"", content)
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)


def read_card(path: str | os.PathLike) -> dict:
    """Read the card of a model; ``path`` names the model (``.keras``, ``.h5``) or the card (``.json``).

    Raises ``FileNotFoundError`` when there is no card and ``ValueError`` when it is not JSON or lacks a key.
    """
    path = checks.as_path("path", path).with_suffix(".json")
    if not path.is_file():
        cure = "'make models' trains the networks and writes their cards"
        raise ArgumentFileError("path", f"{path}, where no card is", cure=cure)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        given = f"{path}, which is not valid JSON ({error})"
        raise ArgumentValueError("path", given, cure="'make models' writes it again") from error
    try:
        _check_keys(card)
        checks.as_range("card['input_range']", card["input_range"])
        names = card["class_names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ArgumentTypeError("card['class_names']", checks.shown(names), "a list of texts")
        if "familiar" in card:
            of_card(card["familiar"])
    except ArgumentProblem as problem:
        given, cure = f"{path} with {problem.argument}: {problem.given}", "'make models' writes it again"
        raise ArgumentValueError("path", given, problem.allowed, cure) from None
    return card


def _check_model_path(path: str | os.PathLike, must_exist: bool) -> Path:
    path = checks.as_path("path", path)
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        raise ArgumentValueError("path", f"{path}, which ends in '{path.suffix}'", ".keras, .h5, .hdf5")
    if must_exist and not path.is_file():
        cure = "'make models' trains the networks of this course"
        raise ArgumentFileError("path", f"{path}, where no model is", cure=cure)
    return path


def _complete_card(model: keras.Model, card: dict) -> dict:
    """The card with what the model itself knows, as plain JSON types in the order of ``CARD_KEYS``."""
    own = {
        "input_shape": list(model.input_shape[1:]),
        "parameters": model.count_params(),
        "date": datetime.date.today().isoformat(),
        "versions": {"keras": keras.version(), "numpy": np.__version__, "backend": keras.backend.backend()},
    }
    full = {**own, **card}
    ordered = {key: full[key] for key in CARD_KEYS if key in full} | full
    return json.loads(json.dumps(ordered, default=lambda value: np.asarray(value).tolist()))


def _check_keys(card: dict) -> None:
    missing = [key for key in CARD_KEYS if key not in card]
    unknown = [key for key in card if key not in CARD_KEYS + MAY]
    if missing or unknown:
        given = f"missing keys {missing}, unknown keys {unknown}"
        raise ArgumentValueError("card", given, f"exactly {list(CARD_KEYS)}")


def _check_card(model: keras.Model, card: dict) -> None:
    _check_keys(card)
    checks.as_range("card['input_range']", card["input_range"])
    units = 2 if model.output_shape[-1] == 1 else model.output_shape[-1]
    for key, found, true in (
        ("input_shape", card["input_shape"], list(model.input_shape[1:])),
        ("parameters", card["parameters"], model.count_params()),
        ("class_names", len(card["class_names"]), units),
    ):
        if found != true:
            raise ArgumentValueError(f"card['{key}']", f"{found}", f"{true}, as in the model")
    for part, entry in card["accuracy"].items():
        argument = f"card['accuracy']['{part}']"
        if sorted(entry) != sorted(ACCURACY_KEYS):
            raise ArgumentValueError(argument, f"the keys {sorted(entry)}", f"{list(ACCURACY_KEYS)}")
        if abs(entry["accuracy"] - entry["correct"] / entry["total"]) > 1e-3:
            raise ArgumentValueError(argument, f"{entry['accuracy']}", "accuracy = correct / total")
