"""Removal and random weights, ours and Quantus', on cases worked by hand: docs/metric_hand.csv.

Part of `python -m tools.metric_parity`, whose page shows it.
"""

import json

import pandas as pd

from heatproof.writing import write
from tools.environment import ROOT
from tools.peers import hand_ours
from tools.peers.environment import ensure_peers, run
from tools.peers.metric_hand import CASES
from tools.relevance_parity import cell, text, verdict

TABLE = ROOT / "docs" / "metric_hand.csv"
HEAD = """
## Removal and random weights by hand

The second column is worked from the formulas that `tools/peers/metric_hand.py` lists, and both are judged by it.
**Bold**: not the number of the formula. "refused": it raises an error. A dash: ours has no such option.

| case | by hand | ours | Quantus {version} |
|---|---|---|---|
"""


def make() -> pd.DataFrame:
    """Ask both; one row per case."""
    file = ROOT / "build" / "parity" / "hand_quantus.json"
    run([ensure_peers(), "-W", "ignore", "-m", "tools.peers.hand_quantus", file])
    found = json.loads(file.read_text(encoding="utf-8"))
    return rows(hand_ours.answers(), found["answers"], found["version"])


def rows(ours, theirs, version) -> pd.DataFrame:
    """The cases with both answers and their verdicts; a reason where theirs is not that by hand."""
    table = []
    for case, mine, other in zip(CASES, ours, theirs, strict=True):
        row = {"case": case.name, "by_hand": text(case.by_hand), "version": version}
        for name, answer in (("ours", mine), ("theirs", other)):
            number = answer if answer is None or isinstance(answer, str) else [float(answer)]
            row[name] = number if isinstance(number, str) else text(number or ())
            row[f"{name}_met"] = verdict(number, case.by_hand)
        table.append(row | {"reason": case.reason})
    return pd.DataFrame(table)


def save(table) -> int:
    """Write the table; 1 where ours is wrong, or theirs is and no reason is given."""
    write(TABLE, table.to_csv(index=False, lineterminator="\n"))
    wrong = table["theirs_met"].isin(["no", "refused"])
    bad = table[(table["ours_met"] == "no") | (table["ours_met"] == "refused") | (wrong != (table["reason"] != ""))]
    print(bad.to_string() if len(bad) else f"by hand: {len(table)} cases, each met or explained", flush=True)
    return int(len(bad) > 0)


def section(table) -> str:
    """The part of docs/metric_parity.md."""
    lines = [HEAD.format(version=table["version"].iloc[0]).rstrip("\n")]
    for row in table.to_dict("records"):
        shown = [cell({"met": row[f"{name}_met"], "answer": row[name]}) for name in ("ours", "theirs")]
        lines.append(f"| {row['case']} | {row['by_hand']} | {' | '.join(shown)} |")
    told = table[table["reason"] != ""].to_dict("records")
    return "\n".join([*lines, "", *(f"- {row['case']}: Quantus {row['reason']}." for row in told)]) + "\n"
