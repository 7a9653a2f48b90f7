"""Network dissection and the search for strongest patches, beside the passes that they cannot do without.

python -m benchmarks.inside WHAT prints what a fresh process measured: "dissection", "strongest" or "memory".
"""

import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf

import xai_utils as xu
from benchmarks.markdown import table
from heatproof.inside.streams import Stream
from tools.environment import ROOT
from tools.peers.environment import quiet

LAYER, BATCH, ROUNDS = "conv4", 32, 5  # 64 units of models/tissue_phantom.keras, 150 px
PICTURES, CONCEPTS, CATEGORIES = 1000, 50, 5
CROPS, FEWER = 5000, 1000
SECONDS, COUNTING, EFFICIENCY, FLAT = 60, 0.5, 0.9, 0.05  # what is asked for
WHAT = ("dissection", "strongest", "memory")


def measure(quick=False):
    """{what: numbers}, each from a process of its own."""
    found = {"load": round(os.getloadavg()[0], 1)}
    return found | {what: in_process(what, *["--quick"] * quick) for what in WHAT}


def in_process(*words):
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.inside", *words]
    done = subprocess.run(command, cwd=ROOT, env=quiet(), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout.splitlines()[-1])


# --- in the fresh process --------------------------------------------------------------------------------------------


def network():
    return xu.load_model(ROOT / "models" / "tissue_phantom.keras")


def pictures(count):
    """Drawn tiles in their eight positions, as many as asked for."""
    tiles = xu.tissue_phantom(-(-count // 8), seed=1).images
    turned = [np.rot90(each, turn, (1, 2)) for each in (tiles, tiles[:, ::-1]) for turn in range(4)]
    return np.concatenate(turned)[:count]


def concepts(images):
    """Squares of 10 pixels, each of one of the concepts of its category, or of none."""
    number, side = CONCEPTS // CATEGORIES, images.shape[1] // 10
    random, names, maps = np.random.default_rng(0), [f"concept {number}" for number in range(CONCEPTS)], {}
    for category in range(CATEGORIES):
        coarse = random.integers(0, number + 1, (len(images), 1, side, side)).astype(np.uint16)
        fine = np.where(coarse > 0, coarse + category * number, 0).astype(np.uint16)
        maps[f"category {category}"] = fine.repeat(10, axis=2).repeat(10, axis=3)
    labelled = {category: np.ones(len(images), bool) for category in maps}
    return xu.Concepts.of_maps(images, names, [category for category in maps for _ in range(number)], labelled, maps)


class Crops:
    """Batches of crops of the photographs, cut as they are asked for."""

    def __init__(self, count, side=150):
        self.photos, self.count, self.side = xu.load_photos().images, count, side

    def __iter__(self):
        random = np.random.default_rng(0)
        for start in range(0, self.count, BATCH):
            batch = [self._cut(random) for _ in range(min(BATCH, self.count - start))]
            yield np.stack(batch)

    def _cut(self, random):
        photo = self.photos[random.integers(len(self.photos))]
        top, left = (int(random.integers(0, size - self.side + 1)) for size in photo.shape[:2])
        return photo[top : top + self.side, left : left + self.side]


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def medians(functions, rounds):
    """The median seconds of each function; they take turns, and the first turn does not count."""
    times = [[seconds(function) for function in functions] for _ in range(rounds + 1)][1:]
    return np.median(times, axis=0).round(3).tolist()


def dissection(count=PICTURES, rounds=ROUNDS):
    """Seconds of the two passes alone, of the dissection without draws, and of that with a hundred."""
    model, images = network(), pictures(count)
    known = concepts(images)

    def passes():
        for _ in range(2):
            for _ in Stream(model, LAYER, images, BATCH).answers():
                pass

    dissect = lambda draws: xu.dissect(model, LAYER, images, known, draws=draws, batch_size=BATCH)  # noqa: E731
    found = medians([passes, lambda: dissect(0), lambda: dissect(100)], rounds)
    return dict(zip(("passes", "without_draws", "with_draws"), found, strict=True)) | {"pictures": count}


def strongest(count=CROPS, rounds=3):
    """Seconds of plain calls of a compiled function on the crops, and of the search on the same ones."""
    model, crops = network(), Crops(count)
    part = tf.function(keras.Model(model.inputs, model.get_layer(LAYER).output), reduce_retracing=True)

    def raw():
        for batch in crops:
            part(tf.constant(batch)).numpy()

    found = medians([raw, lambda: xu.strongest(model, LAYER, crops, 9, batch_size=BATCH)], rounds)
    return dict(zip(("raw", "search"), found, strict=True)) | {"crops": count}


def memory(fewer=FEWER, count=CROPS):
    """Peak memory of the process in MB, after a second search through fewer crops and after that through all."""
    import resource  # which Windows does not have

    model, found = network(), {}
    xu.strongest(model, LAYER, Crops(fewer), 9, batch_size=BATCH)  # the second search takes memory that a first left
    for name, number in (("fewer", fewer), ("all", count)):
        xu.strongest(model, LAYER, Crops(number), 9, batch_size=BATCH)
        found[name] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return found | {"crops": [fewer, count]}


# --- the page --------------------------------------------------------------------------------------------------------

SECTION = """## Inside a network

`python -m benchmarks --inside` measures this alone, each part in a fresh process; medians of rounds in which the
functions take turns. Dissection: the 64 units of `conv4` of models/tissue_phantom.keras, 150 px, and {concepts}
concepts over {pictures} pictures. *Counting* is what it takes beyond two passes through the layer, as a share of these
passes. Strongest patches: the nine of each of these units among {crops} crops of photographs, cut batch by batch; *raw*
are plain calls of a compiled function on the same batches. Processes that waited for a core before: {load}.

"""


def section(results):
    """The page's part."""
    kept = results.get("inside")
    if not kept:
        return ""
    one, other, peak = (kept[what] for what in WHAT)
    counting = (one["without_draws"] - one["passes"]) / one["passes"]
    efficiency, growth = other["raw"] / other["search"], peak["all"] / peak["fewer"] - 1
    rows = [
        ("two passes, in seconds", "", f"{one['passes']:.1f}", ""),
        row(
            "dissection without p-values, seconds",
            f"under {SECONDS}",
            one["without_draws"],
            one["without_draws"] < SECONDS,
        ),
        row("dissection with 100 draws, seconds", f"under {SECONDS}", one["with_draws"], one["with_draws"] < SECONDS),
        row("counting", f"at most {COUNTING}", counting, counting <= COUNTING, ".2f"),
        row("search, raw / measured", f"at least {EFFICIENCY}", efficiency, efficiency >= EFFICIENCY, ".2f"),
        row(
            f"growth of peak memory, {' to '.join(map(str, peak['crops']))} crops",
            f"at most {FLAT}",
            growth,
            growth <= FLAT,
            ".3f",
        ),
    ]
    text = SECTION.format(concepts=CONCEPTS, pictures=one["pictures"], crops=other["crops"], load=kept["load"])
    return text + table(("what", "asked", "measured", ""), rows)


def row(what, asked, value, met, form=".1f"):
    return what, asked, f"{value:{form}}", "met" if met else "**missed**"


def main(what, quick=False):
    small = {"dissection": (64, 1), "strongest": (96, 1), "memory": (64, 128)}[what] if quick else ()
    print(json.dumps({"dissection": dissection, "strongest": strongest, "memory": memory}[what](*small)))


if __name__ == "__main__":
    main(sys.argv[1], "--quick" in sys.argv)
