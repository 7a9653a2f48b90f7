"""Captioners on disk: NAME.keras beside NAME.json, a card with the words, the network explained, and their digests."""

import datetime
import json
import os
from pathlib import Path

from heatproof import checks
from heatproof.data.captions_vocabulary import Vocabulary
from heatproof.networks import opening
from heatproof.networks.captioner import Captioner
from heatproof.networks.captioner_network import ARMS, FIRST, digest_of
from heatproof.networks.cards import without_newer_words
from heatproof.problems import ArgumentFileError, ArgumentValueError
from heatproof.writing import replacing

KEYS = (
    "name", "arm", "world", "network", "network_sha256", "class_names", "words", "words_sha256", "weights_sha256",
    "sentences", "plan", "command", "held_log_p", "distinct", "date", "notes",
)  # fmt: skip
CURE = "'make models' writes captioner and card again"


def save_captioner(captioner: Captioner, path: str | os.PathLike) -> None:
    """Write a captioner: the network and its card, both or neither. Raises `ValueError` for an incomplete card."""
    path = checks.as_path("path", path).with_suffix(".keras")
    words = captioner.vocabulary
    card = captioner.card | {"words": list(words.words[4:]), "words_sha256": words.digest()}
    card |= {"weights_sha256": digest_of(captioner.network), "date": datetime.date.today().isoformat()}
    _check_keys(card, path)
    with replacing(path, path.with_suffix(".json")) as (network, beside):
        captioner.network.save(network)
        without_newer_words(network)
        ordered = {key: card[key] for key in KEYS}
        beside.write_text(json.dumps(ordered, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load_captioner(path: str | os.PathLike) -> Captioner:
    """Load a captioner and its words without running code that the file carries.

    ``path`` names ``NAME.keras``; the card ``NAME.json`` lies beside it. Raises ``FileNotFoundError`` where one of the
    two is missing, and ``ValueError`` for a card that lacks a key, for words or weights that are not those that it was
    saved with, and for a network that does not fit them.
    """
    path = checks.as_path("path", path)
    if path.suffix != ".keras":
        raise ArgumentValueError("path", f"{path}, which ends in '{path.suffix}'", ".keras")
    if not path.is_file() or not path.with_suffix(".json").is_file():
        raise ArgumentFileError("path", f"{path}, where no captioner with its card is", cure=CURE)
    try:
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        given = f"{path.with_suffix('.json')}, which is not valid JSON ({error})"
        raise ArgumentValueError("path", given, cure=CURE) from error
    _check_keys(card, path)
    vocabulary = Vocabulary(card["words"])
    if vocabulary.digest() != card["words_sha256"]:
        given = f"{path.with_suffix('.json')}, whose words are not those that it was saved with"
        raise ArgumentValueError("path", given, cure=CURE)
    network = opening.read(path, {})
    if network.output_shape[-1] != len(vocabulary) - FIRST or digest_of(network) != card["weights_sha256"]:
        given = f"{path}, whose network is not the one of its card"
        raise ArgumentValueError("path", given, cure=CURE)
    return Captioner(network, vocabulary, card)


def _check_keys(card, path):
    found = sorted(card) if isinstance(card, dict) else []
    if found != sorted(KEYS) or card["arm"] not in ARMS:
        missing, unknown = sorted(set(KEYS) - set(found)), sorted(set(found) - set(KEYS))
        given = f"the card of {Path(path).name} without {missing}, with {unknown}"
        raise ArgumentValueError("path", given, f"exactly {list(KEYS)}, with one of the arms {list(ARMS)}", CURE)
