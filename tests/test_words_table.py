"""The table of the judges of words: which rows a run makes, and which it keeps."""

import pandas as pd

from tools import words


def test_a_run_makes_the_rows_of_the_named_networks_or_of_all_and_keeps_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(words, "RESULT", tmp_path / "words.csv")
    rows = lambda network, mean: pd.DataFrame([{"world": words.WORLDS[network], "mean": mean}], columns=words.SHOWN)  # noqa: E731
    monkeypatch.setattr(words, "table", lambda network: rows(network, 1.0))
    words.main()
    monkeypatch.setattr(words, "table", lambda network: rows(network, 2.0))
    words.main(["captioned_tissue"])
    found = pd.read_csv(tmp_path / "words.csv").set_index("world")["mean"]
    assert found.to_dict() == {"faces": 1.0, "tissue": 2.0}
