"""Our methods beside other libraries' on identical weights and inputs: docs/parity.csv and docs/parity.md.

The libraries of requirements-peers.txt live in an environment of their own, .venv-peers; tf-keras-vis and lime are part
of the main one. Every library runs in a process of its own (tools/peers) on the files of build/parity and leaves its
maps there; here they are compared with ours (tools/peers/comparisons.py). tools/metric_parity.py does the same for the
metrics.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.writing import write
from tools import environment
from tools.environment import ROOT

VENV = ROOT / ".venv-peers"
REQUIREMENTS = ROOT / "requirements-peers.txt"
FOLDER = ROOT / "build" / "parity"
TABLE, PAGE = ROOT / "docs" / "parity.csv", ROOT / "docs" / "parity.md"
THRESHOLD = 1e-4
HERE, ELSEWHERE = ("tf_keras_vis", "lime"), ("captum", "xplique", "saliency")
TITLES = {
    "tf_keras_vis": "tf-keras-vis",
    "lime": "lime",
    "captum": "Captum",
    "xplique": "Xplique",
    "saliency": "PAIR saliency",
}
ITEMS, SAMPLES, MASKS, ROWS = 4, 20, 100, 200  # inputs; noisy copies; masks of RISE; samples of LIME


# --- the environment of the other libraries -----------------------------------------------------------------------


def ensure_peers() -> Path:
    """The interpreter of an up-to-date .venv-peers, made first where needed."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = VENV / "requirements.stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print("parity: a new .venv-peers (about 3 GB on disk)", flush=True)
    found, _ = environment.find_python()
    run([found, "-m", "venv", "--clear", VENV])
    # Xplique asks for TensorFlow's CUDA build on Linux, so what it needs is pinned here and it comes by itself.
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    alone = [line for line in lines if line.startswith("xplique==")]
    others = VENV / "others.txt"
    write(others, "\n".join(line for line in lines if line not in alone) + "\n")
    install = [python, "-m", "pip", "install", "--quiet"]
    run([*install, "-r", others])
    run([*install, "--no-deps", *alone])
    write(stamp, wanted)
    return python


def run(command) -> None:
    environ = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "XAI_PROGRESS": "0"}
    if subprocess.call([str(part) for part in command], cwd=ROOT, env=environ):
        raise SystemExit(f"parity: {' '.join(map(str, command[:4]))} ... failed, see above")


# --- the cases ----------------------------------------------------------------------------------------------------


def networks():
    """Yield name, network and inputs: a GAP head, a Flatten head, a signal."""
    import mnist1d_utils as m1
    import xai_utils as xu

    yield "faces", xu.load_model(ROOT / "models" / "faces.keras"), xu.load_faces().images
    yield "flatten", flatten_network(), np.random.default_rng(1).random((50, 20, 16, 3), np.float32)
    yield "mnist1d", xu.load_model(ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(), "test")[0][:50]


def flatten_network():
    """20x16 colours: two convolutions, one with stride 2, pooling, a Flatten head; every weight from a seed."""
    import keras
    from keras import layers

    inputs = keras.Input((20, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv_1")(inputs)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="conv_2")(x)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="scores")(layers.Flatten()(x)))
    generator = np.random.default_rng(0)
    for variable in model.weights:
        spread = 0.1 if len(variable.shape) == 1 else np.sqrt(2 / np.prod(variable.shape[:-1]))
        variable.assign(generator.normal(0, spread, variable.shape))
    return model


def make_case(name, model, inputs):
    """Write the two networks and the arrays that all libraries get; inputs of different predicted classes first."""
    import keras

    from heatproof.methods.masks import RandomMasks
    from tools.peers.case import NOISE, Case

    predicted = np.asarray(model(inputs)).argmax(axis=-1)
    firsts = np.unique(predicted, return_index=True)[1]
    chosen = [*firsts, *np.setdiff1d(np.arange(len(inputs)), firsts)][:ITEMS]
    inputs, space = inputs[chosen], inputs.shape[1:-1]
    generators = [np.random.default_rng([0, number]) for number in range(SAMPLES)]
    noise = np.stack([generator.standard_normal(inputs.shape[1:], np.float32) for generator in generators])
    spread = NOISE * np.ptp(inputs.reshape(len(inputs), -1), axis=1)
    patch = np.array([side // 5 if side % 5 == 0 else side // 4 for side in space])
    patch += patch % 2  # a half of it is the other stride
    segments = blocks(space, patch)
    visible = np.random.default_rng(0).integers(0, 2, (ROWS, segments.max() + 1), np.int8)
    visible[0] = 1
    masks = RandomMasks((*space, 1), [min(7, side) for side in space], 0.5, 0)
    case = Case(
        inputs=inputs,
        targets=predicted[chosen],
        noise=np.stack([(sigma * noise).astype(np.float32) for sigma in spread]),
        patch=patch,
        fill=np.float32(inputs.mean()),
        masks=np.stack([masks.mask(number)[..., 0] for number in range(MASKS)]),
        segments=segments,
        visible=visible,
        layer=np.array([layer.name for layer in model.layers if hasattr(layer, "kernel_size")][-1]),
        folder=FOLDER / name,
    )
    case.save()
    model.save(case.folder / "model.keras")
    logits = keras.models.clone_model(model, clone_function=lambda layer: without_softmax(layer, model.layers[-1]))
    logits.set_weights(model.get_weights())
    logits.save(case.folder / "logits.keras")
    return case


def without_softmax(layer, last):
    config = layer.get_config() | ({"activation": "linear"} if layer is last else {})
    return type(layer).from_config(config)


def blocks(space, patch):
    """Labels of equal blocks, row by row."""
    labels = np.zeros(space, int)
    for axis, (side, size) in enumerate(zip(space, patch, strict=True)):
        along = np.arange(side) // size
        labels = labels * (along[-1] + 1) + along.reshape([-1 if axis == other else 1 for other in range(len(space))])
    return labels


# --- the comparison -----------------------------------------------------------------------------------------------


def relative_difference(ours, theirs) -> float:
    """max |ours - theirs| / max |theirs| of each input, the largest of them."""
    ours, theirs = (np.asarray(maps, np.float64).reshape(len(maps), -1) for maps in (ours, theirs))
    apart, size = np.abs(ours - theirs).max(axis=1), np.abs(theirs).max(axis=1)
    return float(np.max(np.divide(apart, size, out=np.where(apart > 0, np.inf, 0.0), where=size > 0)))


def compare(case, ours, comparisons, titles, difference=relative_difference) -> list[dict]:
    """One row per comparison of this case."""
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


COLUMNS = ["method", "step", "peer", "version", "network", "difference", "adapted", "threshold", "met", "reason"]


def make() -> pd.DataFrame:
    from tools.peers.case import Case
    from tools.peers.comparisons import COMPARISONS
    from tools.peers.ours import Ours

    peers = ensure_peers()
    folders = [make_case(*network).folder for network in networks()]
    for peer in TITLES:
        run([sys.executable if peer in HERE else peers, "-W", "ignore", "-m", f"tools.peers.with_{peer}", *folders])
    cases = [Case.load(folder) for folder in folders]
    return pd.DataFrame([row for case in cases for row in compare(case, Ours(case), COMPARISONS, TITLES)])[COLUMNS]


def publish(table, file, target, render) -> int:
    """Write the table and its page; 1 where a comparison is neither met nor explained."""
    file.parent.mkdir(exist_ok=True)
    write(file, table.to_csv(index=False, float_format="%.1e", lineterminator="\n"))
    write(target, render(read(file)))
    open_ones = table[table["met"] == "no"]
    print(open_ones.to_string() if len(open_ones) else f"parity: {len(table)} rows, each met or explained", flush=True)
    return int(len(open_ones) > 0)


def main() -> int:
    """Make both tables, of the methods and of the metrics; 1 where a row is neither met nor explained."""
    from tools import metric_parity

    sys.path.insert(0, str(ROOT))
    return publish(make(), TABLE, PAGE, page) | metric_parity.main()


def read(path=TABLE) -> pd.DataFrame:
    """The table as text, so that the page shows what the file says."""
    return pd.read_csv(path, keep_default_na=False, dtype=str)


HEAD = """# Parity with other libraries

Generated by `make parity` (`python -m tools parity`) from `docs/parity.csv`; do not edit.

Our methods and those of five libraries, on identical weights, inputs, noise, masks, segments and samples. A number is
the largest |ours - theirs| of an input, divided by the largest |theirs|; the worst of {items} inputs. It is met at
{threshold:g}. Where a definition differs there are two numbers: as it stands, then with that one step done the same way
on both sides; the sentences below the table say which step. "No": that step does not account for all of the
difference, and what else differs was not found. A dash: the library has no such map.

Networks: `faces` (48x48 grey, six convolutions, GAP head), `flatten` (20x16 colours, a stride of 2, Flatten head,
weights from a seed), `mnist1d` (signals of 40 samples, 1-D convolutions with stride 2, Flatten head). Scores are
logits, or probabilities for RISE, LIME and Score-CAM. Captum explains a PyTorch twin of the same weights
(`tools/peers/twin.py`).
No library of these has SISE.
"""
WORDS = {"yes": "yes", "adapted": "but for one step", "no": "no, see below"}


def page(table, head=HEAD) -> str:
    """docs/parity.md: one table for each library, then a sentence for each difference of definition."""
    parts = [head.format(items=ITEMS, threshold=THRESHOLD)]
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
