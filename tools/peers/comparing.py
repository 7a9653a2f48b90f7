"""Ours beside theirs: differences, verdicts, the table as a file and the page that is rendered from it."""

import numpy as np
import pandas as pd

from heatproof.writing import write

THRESHOLD = 1e-4
COLUMNS = ["method", "step", "peer", "version", "network", "difference", "adapted", "threshold", "met", "reason"]
WORDS = {"yes": "yes", "adapted": "but for one step", "no": "no, see below"}


def relative_difference(ours, theirs) -> float:
    """max |ours - theirs| / max |theirs| of each input, the largest of them."""
    ours, theirs = (np.asarray(maps, np.float64).reshape(len(maps), -1) for maps in (ours, theirs))
    apart, size = np.abs(ours - theirs).max(axis=1), np.abs(theirs).max(axis=1)
    return float(np.max(np.divide(apart, size, out=np.where(apart > 0, np.inf, 0.0), where=size > 0)))


def compare(case, ours, comparisons, titles, difference=relative_difference) -> list[dict]:
    """One row per comparison of this case with a library that has a title."""
    rows = []
    theirs = {peer: dict(np.load(case.folder / f"{peer}.npz")) for peer in titles}
    for one in comparisons:
        maps = theirs[one.peer]
        row = {"method": one.method, "step": one.step, "peer": titles[one.peer], "network": case.folder.name}
        row["version"] = (case.folder / f"{one.peer}.txt").read_text(encoding="utf-8")
        if one.key not in maps or (one.adapted_key and one.adapted_key not in maps):
            rows.append(row | {"met": "none", "reason": one.absent})
            continue
        row["difference"] = difference(one.ours(ours), maps[one.key])
        if one.reason:
            adapted = (one.adapted or one.ours)(ours)
            row["adapted"] = difference(adapted, maps[one.adapted_key or one.key])
        row["met"] = verdict(row["difference"], row.get("adapted"))
        rows.append(row | {"threshold": THRESHOLD, "reason": one.reason})
    return rows


def verdict(difference, adapted) -> str:
    """ "yes": the definitions coincide; "adapted": they do once one step is done the same way; "no": neither."""
    if difference <= THRESHOLD:
        return "yes"
    return "adapted" if adapted is not None and adapted <= THRESHOLD else "no"


def publish(table, file, target, render) -> int:
    """Write the table and its page; 1 where a comparison is neither met nor explained."""
    file.parent.mkdir(exist_ok=True)
    write(file, table.to_csv(index=False, float_format="%.1e", lineterminator="\n"))
    write(target, render(read(file)))
    open_ones = table[table["met"] == "no"]
    print(open_ones.to_string() if len(open_ones) else f"parity: {len(table)} rows, each met or explained", flush=True)
    return int(len(open_ones) > 0)


def read(path) -> pd.DataFrame:
    """The table as text, so that the page shows what the file says."""
    return pd.read_csv(path, keep_default_na=False, dtype=str)


def page(table, head) -> str:
    """The head, one table for each library, then a sentence for each difference of definition."""
    parts = [head]
    for peer, rows in table.groupby("peer", sort=False):
        names = list(dict.fromkeys(table["network"]))
        parts.append(f"## {peer} {rows['version'].iloc[0]}\n")
        parts.append(f"| ours | | {' | '.join(names)} | met |\n|---|---|{'---|' * len(names)}---|")
        notes = []
        for (method, step), group in rows.groupby(["method", "step"], sort=False):
            cells = [cell(group[group["network"] == name]) for name in names]
            found = [word for word in ("no", "adapted", "yes") if word in set(group["met"])]
            parts.append(f"| `{method}` | {step} | {' | '.join(cells)} | {WORDS[found[0]]} |")
            notes += [
                f"- `{method}`{', ' * bool(step)}{step}: {reason}."
                for reason in dict.fromkeys(group["reason"])
                if reason
            ]
        parts.append("\n" + "\n".join(notes) + "\n" if notes else "")
    return "\n".join(parts).rstrip() + "\n"


def cell(rows) -> str:
    (difference,), (adapted,) = rows["difference"], rows["adapted"]
    return f"{difference or '-'} / {adapted}" if adapted else difference or "-"
