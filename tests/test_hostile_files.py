"""Files, servers, disks and interruptions that mean harm or are broken: refused or survived, nothing left behind.

Code in pickles and Lambda layers, zips that leave their folder, models cut short and files of Keras 2 stand in
test_mnist1d.py, test_hostile_models.py, test_networks.py and test_datasets.py. Here: bombs, broken images and tables,
bad servers, and every step that writes a file on a full disk, in a read-only folder, under Ctrl-C and beside a twin.
"""

import contextlib
import hashlib
import http.server
import io
import json
import os
import pickle
import pkgutil
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from heatproof.data import fer2013, hmt, pictures
from heatproof.data.archives import Source

TILE = "04_LYMPHO/D948_CRC-Prim-HE-09_006.tif_Row_151_Col_1.png"
RECORD = b"the record" * 20_000
SHA256 = hashlib.sha256(RECORD).hexdigest()
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals, rights and limits of POSIX")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Each test has a data folder, a cache and a report folder of its own, below one folder that it can look over."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("XAI_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XAI_REPORT_DIR", str(tmp_path / "report"))
    monkeypatch.setattr(pictures, "CACHE", tmp_path / "cache")
    return tmp_path


def files(folder):
    """Every file below a folder and its content, hidden ones too."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(call, *words, error=ValueError, folder, memory=25_000_000):
    """The call raises, its message has the words, no file is written, and little memory is taken."""
    before = files(folder)
    tracemalloc.start()
    try:
        with pytest.raises(error) as raised:
            call()
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    assert [word for word in words if word not in str(raised.value)] == [], str(raised.value)
    assert files(folder) == before


# ------------------------------------------------------------------------------------------ zips, images and tables

BIG = 40_000_000
METHODS = {"declared": zipfile.ZIP_DEFLATED, "undeclared": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}


def bomb(path, name, kind, start=b""):
    """A zip of less than 100 kB whose one file unpacks to 40 MB; "undeclared" says that it is 1000 bytes."""
    with zipfile.ZipFile(path, "w", METHODS[kind]) as archive, archive.open(name, "w") as stream:
        stream.write(start)
        for _ in range(BIG // 10_000_000):
            stream.write(bytes(10_000_000))
    if kind != "declared":
        content = path.read_bytes()
        size = struct.pack("<L", BIG + len(start))
        assert content.count(size) == 2  # beside the file and in the directory
        path.write_bytes(content.replace(size, struct.pack("<L", 1000)))
    assert path.stat().st_size < 100_000
    return path


@pytest.mark.parametrize("kind", METHODS)
def test_a_bomb_among_the_images_is_not_unpacked(kind, home):
    bomb(home / "data/hmt.zip", TILE, kind)
    refused(hmt.load_hmt, "hmt.zip", TILE, "is not a readable image", "fetch it again", folder=home)


@pytest.mark.parametrize("kind", ["undeclared", "bzip2"])
def test_a_bomb_in_place_of_the_table_is_not_unpacked(kind, home):
    bomb(home / "data/fer2013.zip", "fer2013.csv", kind)
    refused(fer2013.load_fer2013, "fer2013.csv", "is not a readable table", "fetch it again", folder=home)


def test_a_table_larger_than_any_of_its_kind_is_not_unpacked(home, monkeypatch):
    monkeypatch.setattr(fer2013, "TABLE_BYTES", BIG - 1)
    bomb(home / "data/fer2013.zip", "fer2013.csv", "declared")
    refused(fer2013.load_fer2013, "40,000,000 bytes", "allowed are 39,999,999", folder=home)


@pytest.mark.parametrize("name", ["../fer2013.csv", "/tmp/fer2013.csv", "..\\fer2013.csv", "C:\\fer2013.csv"])
def test_a_table_that_leaves_the_zip_is_refused(name, home):
    with zipfile.ZipFile(home / "data/fer2013.zip", "w") as archive:
        archive.writestr(name, "emotion,pixels,Usage")
    refused(fer2013.load_fer2013, "out of its folder", folder=home)


def test_a_link_in_a_zip_is_not_followed(home):
    (home / "secret.png").write_bytes(encoded(np.zeros((150, 150, 3), np.uint8)))
    link = zipfile.ZipInfo(TILE)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(home / "data/hmt.zip", "w") as archive:
        archive.writestr(link, str(home / "secret.png"))
    refused(hmt.load_hmt, TILE, "is not a readable image", folder=home)


def test_a_zip_with_a_password_is_named(home):
    with zipfile.ZipFile(home / "data/hmt.zip", "w") as archive:
        archive.writestr(TILE, encoded(np.zeros((150, 150, 3), np.uint8)))
    content = bytearray((home / "data/hmt.zip").read_bytes())
    for start, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(start) + place] |= 1  # the flag "encrypted"
    (home / "data/hmt.zip").write_bytes(content)
    refused(hmt.load_hmt, TILE, "password", "fetch it again", folder=home)


def encoded(pixels, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def png(width, height):
    """A picture that claims a size and holds hardly any pixel."""
    parts = [(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(100)))]
    packed = [struct.pack(">L", len(b)) + a + b + struct.pack(">L", zlib.crc32(a + b)) for a, b in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def half(kind):
    content = encoded(np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8), kind)
    return content[: len(content) // 2]


def wrong_checksum():
    content = bytearray(encoded(np.zeros((150, 150, 3), np.uint8)))
    content[content.index(b"IDAT") + 6] ^= 255
    return bytes(content)


IMAGES = {
    "empty": (b"", "not a readable image"),
    "text": (b"<html>Not found</html>", "not a readable image"),
    "signature alone": (b"\x89PNG\r\n\x1a\n", "not a readable image"),
    "half a PNG": (half("PNG"), "not a readable image"),
    "half a JPEG": (half("JPEG"), "not a readable image"),
    "half a TIFF": (half("TIFF"), "not a readable image"),
    "half a WEBP": (half("WEBP"), "not a readable image"),
    "damaged PNG": (wrong_checksum(), "not a readable image"),
    "81 million pixels": (png(9000, 9000), "(9000, 9000) pixels; needed are (150, 150)"),
    "4 thousand million pixels": (png(64_000, 64_000), "not a readable image"),
    "no pixels": (png(0, 0), "not a readable image"),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("place", ["zip", "folder"])
def test_an_unreadable_image_is_named_and_nothing_is_cached(kind, place, home):
    content, message = IMAGES[kind]
    if place == "zip":
        with zipfile.ZipFile(home / "data/hmt.zip", "w") as archive:
            archive.writestr(TILE, content)
    else:
        (home / "data/hmt" / TILE).parent.mkdir(parents=True)
        (home / "data/hmt" / TILE).write_bytes(content)
    refused(hmt.load_hmt, "hmt", TILE, message, "fetch it again", folder=home)


@POSIX
def test_an_image_does_not_start_another_program(home, monkeypatch):
    """PostScript is a language; PIL hands it to Ghostscript, whatever the file is called."""
    (home / "bin").mkdir()
    (home / "bin/gs").write_text(f"#!/bin/sh\ntouch {home}/started\n")
    (home / "bin/gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(home / "bin"), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 150 150\n%%EndComments\nshowpage\n%%EOF\n"
    with contextlib.suppress(Exception):
        Image.open(io.BytesIO(content)).load()
    assert (home / "started").exists(), "the trap must go off where every format is read"
    (home / "started").unlink()
    with zipfile.ZipFile(home / "data/hmt.zip", "w") as archive:
        archive.writestr(TILE, content)
    refused(hmt.load_hmt, TILE, "not a readable image", folder=home)


ROW = "3," + " ".join(["7"] * 48 * 48) + ",Training"
TABLES = {
    "empty": ("", "not a readable table"),
    "binary": (b"\xff\x00\xfe\x9c" * 50, "fer2013.csv"),
    "cut in a row": (f"emotion,pixels,Usage\n{ROW}\n{ROW[:2000]}", "fer2013.csv"),
    "a pixel of 300": (f"emotion,pixels,Usage\n{ROW.replace('7', '300', 1)}\n", "row 0 of fer2013.csv does not hold"),
    "a pixel of -1": (f"emotion,pixels,Usage\n{ROW.replace('7', '-1', 1)}\n", "pixels from 0 to 255"),
    "a letter": (f"emotion,pixels,Usage\n{ROW.replace('7', 'x', 1)}\n", "row 0 of fer2013.csv does not hold"),
    "no pixels": ("emotion,pixels,Usage\n3,,Training\n", "row 0 of fer2013.csv does not hold"),
    "expression 7": (f"emotion,pixels,Usage\n7{ROW[1:]}\n", "emotion 7; allowed are [0, 1, 2, 3, 4, 5, 6]"),
    "expression as text": (f"emotion,pixels,Usage\nhappy{ROW[1:]}\n", "emotion 'happy'; allowed are"),
    "unknown usage": (f"emotion,pixels,Usage\n{ROW}s\n", "Usage 'Trainings'; allowed are"),
    "no usage": (f"emotion,pixels,Usage\n{ROW[:-8]}\n", "allowed are ['Training'"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_broken_table_is_named_and_nothing_is_cached(kind, home):
    content, message = TABLES[kind]
    (home / "data/fer2013.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(lambda: fer2013.load_fer2013("train"), message, folder=home)


# ---------------------------------------------------------------------------- models, cards, checkpoints, own cache


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
def test_a_bomb_in_a_model_is_not_unpacked(kind, part, home):
    from heatproof.networks import cards

    write_model(home, 1)
    with zipfile.ZipFile(home / "net.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    path = bomb(home / "bomb.keras", part, kind, start=parts[part])
    with zipfile.ZipFile(path, "a") as archive:
        for name in parts.keys() - {part}:
            archive.writestr(name, parts[name])
    refused(lambda: cards.load_model(path), "path:", "bomb.keras", part, "fetch it again", folder=home)


@pytest.mark.parametrize("name", ["../outside", "/outside", "assets/../../../outside"])
def test_a_model_that_carries_files_writes_none_of_them(name, home, monkeypatch):
    from heatproof.networks import cards

    (home / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(home / "temporary"))
    write_model(home, 1)
    with zipfile.ZipFile(home / "net.keras", "a") as archive:
        archive.writestr(name, "content")
    before = files(home)
    with contextlib.suppress(ValueError):
        cards.load_model(home / "net.keras")
    assert files(home) == before and not Path("/outside").exists()


CARDS = {
    "no text": (b"\xff\xfe\x00", "not valid JSON"),
    "cut": (b'{"name": "net", "da', "not valid JSON"),
    "a hundred thousand brackets": (b"[" * 100_000, "not valid JSON"),
    "a list": (b"[1, 2]", "missing keys"),
    "input_range": ("ab", "net.json with card['input_range']: 'ab'; allowed: a pair, (low, high)"),
    "class_names": (3, "net.json with card['class_names']: 3; allowed: a list of texts"),
}


@pytest.mark.parametrize("kind", CARDS)
def test_a_broken_card_is_named(kind, home):
    from heatproof.networks import cards

    write_model(home, 1)
    wrong, message = CARDS[kind]
    card = json.loads((home / "net.json").read_text()) | {kind: wrong} if kind in cards.CARD_KEYS else wrong
    (home / "net.json").write_bytes(card if isinstance(card, bytes) else json.dumps(card).encode())
    for read in (cards.read_card, cards.load_model):
        refused(lambda read=read: read(home / "net.keras"), message, folder=home)


class Trap:
    """Pickles as a call that makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_the_trap_goes_off_where_a_pickle_is_trusted(home):
    pickle.loads(pickle.dumps(Trap(home / "sprung"))).close()
    assert (home / "sprung").exists()


@pytest.mark.parametrize("kind", ["pickle in it", "cut", "empty", "other network", "a lone array"])
def test_a_checkpoint_that_is_not_ours_is_refused_and_the_network_unchanged(kind, home):
    from heatproof.networks import training

    path = home / "run.npz"
    write_checkpoint(home, 1)
    content = path.read_bytes()
    if kind == "pickle in it":
        np.savez(path, history=np.array([Trap(home / "sprung")], dtype=object))
    elif kind == "other network":
        training._Progress(*toy_training(units=5), home / "other.npz").end_epoch((np.zeros((4, 64)), [0] * 4), 0.0, 0)
        os.replace(home / "other.npz", path)
    elif kind == "a lone array":
        path.write_bytes(b"")
        with path.open("wb") as stream:
            np.save(stream, np.zeros(3))
    else:
        path.write_bytes(content[: len(content) // 2] if kind == "cut" else b"")
    network, optimizer = toy_training()
    before = network.get_weights()
    call = lambda: training._Progress(network, optimizer, path)  # noqa: E731
    refused(call, "checkpoint:", "run.npz", "delete it to start anew", folder=home)
    np.testing.assert_array_equal(network.get_weights()[0], before[0])


@pytest.mark.parametrize("kind", ["pickle", "empty", "cut", "other length"])
def test_a_damaged_cache_is_made_anew(kind, home):
    write_source(home, 9)
    load_cached(home, 9)
    (cached,) = pictures.CACHE.iterdir()
    whole = cached.read_bytes()
    if kind == "pickle":
        np.save(cached, np.array([Trap(home / "sprung")], dtype=object))
    elif kind == "other length":
        np.save(cached, np.zeros((2, 150, 150, 3), np.uint8))
    else:
        cached.write_bytes(whole[: len(whole) // 2] if kind == "cut" else b"")
    load_cached(home, 9)
    assert not (home / "sprung").exists() and files(pictures.CACHE) == {cached: whole}


@pytest.mark.parametrize(
    "stream",
    [b"Nr" + struct.pack("<L", 1 << 24) + b".", b"\x8e" + struct.pack("<Q", 1 << 40) + b"x."],
    ids=["a memo of 16 million places", "a text of a million million bytes"],
)
def test_a_pickle_of_a_few_bytes_does_not_take_memory(stream, home):
    import mnist1d_utils as m1

    (home / "bomb.pkl").write_bytes(stream)
    refused(lambda: m1.load_pickle(home / "bomb.pkl"), "bomb.pkl", folder=home)


# ------------------------------------------------------------------------------------------------------ bad servers


class Site(http.server.ThreadingHTTPServer):
    """Serves the record as its path says: whole, damaged, cut off, or not at all."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.go_on, self.pair = threading.Event(), threading.Barrier(2)

    def address(self, manner):
        return f"http://127.0.0.1:{self.server_port}/{manner}"


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def head(self, **fields):
        self.send_response(200)
        for name, value in {"Connection": "close", **fields}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def do_GET(self):
        self.close_connection = True
        middle, length = RECORD[: len(RECORD) // 2], len(RECORD)
        manner = self.path[1:]
        if manner.isdigit():
            self.send_error(int(manner))
        elif manner == "pair":
            self.server.pair.wait(60)
            self.head(Content_Length=length)
            self.wfile.write(RECORD)
        elif manner == "whole":
            self.head(Content_Length=length)
            self.wfile.write(RECORD)
        elif manner == "changed":
            self.head(Content_Length=length)
            self.wfile.write(RECORD[:-1] + b"?")
        elif manner == "page":
            self.head(Content_Length=20, Content_Type="text/html")
            self.wfile.write(b"<html>Sorry!</html>\n")
        elif manner == "chunked":
            self.head(Transfer_Encoding="chunked")
            self.wfile.write(b"%x\r\n%s\r\n" % (len(middle), middle))
        elif manner == "unknown":
            self.head()
            self.wfile.write(middle)
        elif manner in ("cut", "reset", "stalled"):
            self.head(Content_Length=length)
            self.wfile.write(middle)
            if manner == "stalled":
                self.server.go_on.wait(120)
            elif manner == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def site(monkeypatch):
    with Site() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(hmt, "HMT_SHA256", SHA256)
        monkeypatch.setattr(hmt, "HMT_URL", "")
        yield server
        server.go_on.set()
        server.shutdown()


MANNERS = ["cut", "reset", "chunked", "unknown", "changed", "page", "404", "503", "silence"]


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("there", ["nothing", "a damaged file"])
def test_a_bad_download_leaves_nothing_and_the_next_one_works(manner, there, site, home, monkeypatch):
    target = home / "data" / hmt.HMT_FILE
    if there == "a damaged file":
        target.write_bytes(b"damaged")
    monkeypatch.setattr(hmt, "HMT_URL", site.address(manner))
    words = (site.address(manner), str(home / "data"), "nothing was kept", "with a browser")
    refused(hmt.fetch_hmt, *words, error=OSError, folder=home)
    monkeypatch.setattr(hmt, "HMT_URL", site.address("whole"))
    assert hmt.fetch_hmt() == target and files(home) == {target: RECORD}


def test_a_server_that_is_not_there_is_named(home, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(hmt, "HMT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/record")
        refused(hmt.fetch_hmt, "nothing was kept", error=OSError, folder=home)


# ------------------------------------------------------------------------------------------ every step that writes


def write_source(folder, version):
    """A data set of one image, in which the version is the colour."""
    (folder / "data").mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "data/hmt.zip", "w") as archive:
        archive.writestr(TILE, encoded(np.full((150, 150, 3), version, np.uint8)))


def load_cached(folder, version):
    os.environ["XAI_DATA"], pictures.CACHE = str(folder / "data"), folder / "cache"
    images = hmt.load_hmt("all").images
    assert images.shape == (1, 150, 150, 3) and np.all(images == np.float32(version / 255))


def download(folder, address):
    os.environ["XAI_DATA"], hmt.HMT_URL, hmt.HMT_SHA256 = str(folder / "data"), address, SHA256
    hmt.fetch_hmt()


def toy_training(units=32):
    import keras

    network = keras.Sequential([keras.Input((64,)), keras.layers.Dense(units, "softmax")])
    optimizer = keras.optimizers.AdamW()
    optimizer.build(network.trainable_variables)
    return network, optimizer


def write_model(folder, version):
    from heatproof.networks import cards

    network, _ = toy_training()
    network.set_weights([np.full_like(weights, version) for weights in network.get_weights()])
    card = dict.fromkeys(cards.CARD_KEYS, "") | {"notes": version, "accuracy": {}, "input_range": (0, 1)}
    card |= {"class_names": list(map(str, range(32))), "input_shape": [64], "parameters": 65 * 32}
    cards.save_model(network, folder / "net.keras", card)


def read_model(folder):
    from heatproof.networks import cards

    (version,) = {
        float(weight) for array in cards.load_model(folder / "net.keras").get_weights() for weight in array.flat
    }
    assert cards.read_card(folder / "net.keras")["notes"] == version
    return version


def write_checkpoint(folder, version):
    from heatproof.networks import training

    progress = training._Progress(*toy_training(), folder / "run.npz")
    progress.end_epoch((np.zeros((4, 64), "float32"), np.zeros(4, int)), float(version), 0)


def read_checkpoint(folder):
    from heatproof.networks import training

    return training._Progress(*toy_training(), folder / "run.npz").history[-1]["loss"]


def write_figure(folder, version):
    from heatproof.display import plots, saving

    os.environ["XAI_REPORT_DIR"] = str(folder)
    figure, axes = plots.plt.subplots(figsize=(2, 2))
    axes.imshow(np.random.default_rng(version).random((30, 30)))
    try:
        saving.save_figure(figure, "x", f"Version {version}")
    finally:
        plots.plt.close(figure)


def read_figure(folder):
    with Image.open(folder / "figures/x.png") as picture:
        picture.load()
        version = int(picture.text["Description"].split()[1])
    content = (folder / "figures/x.pdf").read_bytes()
    assert f"Version {version}".encode() in content and content.endswith(b"%%EOF\n")
    return version


def write_value(folder, version):
    from heatproof.display import saving

    os.environ["XAI_REPORT_DIR"] = str(folder)
    saving.save_value("x", version, f"{version} {'.' * 9000}end")


def read_value(folder):
    text = (folder / "values/x.tex").read_text()
    assert text.endswith(".end")
    return int(text.split()[0])


def write_table(folder, version):
    import pandas as pd

    from heatproof.display import saving

    os.environ["XAI_REPORT_DIR"] = str(folder)
    saving.save_table("x", pd.DataFrame({"version": [version], "text": ["x" * 9000]}))


def read_table(folder):
    lines = (folder / "tables/x.csv").read_text().splitlines()
    assert (folder / "tables/x.tex").read_text().endswith("\\end{tabular}\n") and len(lines) == 2
    return int(lines[1].split(",")[0])


def write_pickle(folder, version):
    import mnist1d_utils as m1

    data = m1.make_dataset(count=100)
    data["x"][0, 0] = version
    m1.write_pickle(folder / "data.pkl", data)


def read_pickle(folder):
    import mnist1d_utils as m1

    return m1.load_pickle(folder / "data.pkl")["x"][0, 0]


def write_text(folder, version):
    from heatproof.writing import write

    write(folder / "text.csv", f"{version}\n" * 5000)


def read_text(folder):
    lines = (folder / "text.csv").read_text().splitlines()
    assert len(lines) == 5000
    (version,) = set(lines)
    return int(version)


def signal_training(folder):
    import keras

    from heatproof.networks import mnist1d

    network = mnist1d.network()
    network.compile(keras.optimizers.AdamW())
    return mnist1d._Run(network, folder / "signals.npz", "toy")


def write_signal_checkpoint(folder, version):
    fitted = {"loss": [version], "accuracy": [0.5]}
    signal_training(folder).record(fitted, np.zeros((4, 40, 1), "float32"), np.zeros(4, int))


def read_signal_checkpoint(folder):
    return signal_training(folder).history["loss"][-1]


class Step(NamedTuple):
    """How a step writes its version of a file, how it is read again, and the call in which the writing happens."""

    write: callable
    read: callable
    call: str
    argument: str = "path"


STEPS = {
    "model": Step(write_model, read_model, "keras.Model.save"),
    "checkpoint": Step(write_checkpoint, read_checkpoint, "numpy.savez"),
    "figure": Step(write_figure, read_figure, "pathlib.Path.write_bytes", "name"),
    "value": Step(write_value, read_value, "pathlib.Path.write_bytes", "name"),
    "table": Step(write_table, read_table, "pathlib.Path.write_bytes", "name"),
    "text": Step(write_text, read_text, "pathlib.Path.write_bytes"),
    "data of signals": Step(write_pickle, read_pickle, "pickle.dump"),
    "checkpoint of signals": Step(write_signal_checkpoint, read_signal_checkpoint, "numpy.savez"),
}
JOBS = {name: step.write for name, step in STEPS.items()} | {"cache": load_cached, "download": download}


# ------------------------------------------------------------------------------------------------------- full disks


@pytest.fixture(params=["tmpfs", "limit of file size"])
def disk(request, tmp_path):
    """A folder, and a block in which its disk has room for 4096 bytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limit of file size":
        resource = pytest.importorskip("resource", reason="no limits of file size on this system")
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)

        @contextlib.contextmanager
        def full():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, usual)

        yield folder, full
        return
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not allowed here; the limit of file size stands in")

    @contextlib.contextmanager
    def full():
        ballast, room = folder / "ballast", os.statvfs(folder)
        ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - 4096))
        try:
            yield
        finally:
            ballast.unlink()

    yield folder, full
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", STEPS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(name, disk):
    folder, full = disk
    step = STEPS[name]
    step.write(folder, 1)
    before = files(folder)
    with full(), pytest.raises(OSError) as raised:
        step.write(folder, 2)
    assert files(folder) == before and step.read(folder) == 1
    for word in (f"{step.argument}: {folder}", "could not be written", "unchanged. Cure: make room"):
        assert word in str(raised.value)
    step.write(folder, 2)
    assert step.read(folder) == 2


def test_a_full_disk_costs_the_cache_and_not_the_images(disk):
    folder, full = disk
    write_source(folder, 5)
    with full():
        load_cached(folder, 5)
        assert not files(folder / "cache")
    load_cached(folder, 5)
    assert len(files(folder / "cache")) == 1


def test_a_download_that_does_not_fit_is_given_up(disk, site):
    folder, full = disk
    (folder / "data").mkdir()
    with full(), pytest.raises(OSError, match="nothing was kept.*has 258 MB of room"):
        download(folder, site.address("whole"))
    assert not files(folder)
    download(folder, site.address("whole"))
    assert list(files(folder).values()) == [RECORD]


# ------------------------------------------------------------------------- other processes: Ctrl-C, rights, a twin


def serve():
    """What the other process does: one job for each line it is given, held where the line says."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for request in iter(sys.stdin.readline, ""):
        name, folder, version, call, turn = json.loads(request)
        try:
            with held(call, turn, Path(folder)):
                JOBS[name](Path(folder), version)
            answer = "done"
        except KeyboardInterrupt:
            answer = "interrupted"
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(f"\n>{answer}", flush=True)


@contextlib.contextmanager
def held(call, turn, folder):
    """Hold the `turn`-th use of a function: a writing one when its file is half there, os.replace before it acts."""
    if not call:
        yield
        return
    owner, attribute = pkgutil.resolve_name(call.rpartition(".")[0]), call.rpartition(".")[2]
    original, uses, before = getattr(owner, attribute), [], set(files(folder))

    def slow(*arguments, **options):
        uses.append(1)
        if len(uses) == turn:
            if call != "os.replace":
                original(*arguments, **options)
                for path in files(folder).keys() - before:
                    os.truncate(path, path.stat().st_size // 2)
            print("\n>held", flush=True)
            sys.stdin.readline()
        return original(*arguments, **options)

    with mock.patch.object(owner, attribute, slow):
        yield


class Twin:
    """Another process, in which the rights of a file bind even root."""

    def __init__(self):
        code = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}; import test_hostile_files as t"
        command = [sys.executable, "-c", f"{code}; t.serve()"]
        self.root = hasattr(os, "geteuid") and os.geteuid() == 0
        if self.root and shutil.which("setpriv"):
            command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
            self.root = False
        quiet = {"XAI_PROGRESS": "0", "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.process = subprocess.Popen(command, env=os.environ | quiet, **pipes)

    def send(self, name, folder, version, call="", turn=1):
        self.process.stdin.write(json.dumps([name, str(folder), version, call, turn]) + "\n")
        self.process.stdin.flush()

    def release(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def answer(self):
        for line in self.process.stdout:
            if line.startswith(">"):
                return line[1:].strip()
        return f"ended with {self.process.wait()}"

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def twins():
    pair = Twin(), Twin()
    yield pair
    for twin in pair:
        twin.end()


@pytest.fixture
def twin(twins):
    return twins[0]


INTERRUPTIONS = [(name, step.call, 1) for name, step in STEPS.items()] + [(name, "os.replace", 1) for name in STEPS]
INTERRUPTIONS += [("model", "pathlib.Path.write_text", 1), ("model", "os.replace", 2)]


@POSIX
@pytest.mark.parametrize("name, call, turn", INTERRUPTIONS)
def test_ctrl_c_leaves_the_old_file_and_nothing_else(name, call, turn, twin, tmp_path):
    step, folder = STEPS[name], tmp_path / "folder"
    folder.mkdir()
    step.write(folder, 1)
    before = files(folder)
    twin.send(name, folder, 2, call, turn)
    assert twin.answer() == "held"
    assert files(folder) != before, "nothing was being written: the test proves nothing"
    twin.interrupt()
    assert twin.answer() == "interrupted"
    assert files(folder) == before and step.read(folder) == 1
    twin.send(name, folder, 2)
    assert twin.answer() == "done" and step.read(folder) == 2


@POSIX
@pytest.mark.parametrize("call", ["numpy.save", "os.replace"])
def test_ctrl_c_leaves_no_half_cache(call, twin, home):
    write_source(home, 7)
    before = files(home)
    twin.send("cache", home, 7, call)
    assert twin.answer() == "held" and files(home) != before
    twin.interrupt()
    assert twin.answer() == "interrupted" and files(home) == before
    load_cached(home, 7)


@POSIX
def test_ctrl_c_leaves_no_half_download(twin, site, home):
    twin.send("download", home, site.address("stalled"))
    limit = time.monotonic() + 120
    while not any(files(home).values()) and time.monotonic() < limit:
        time.sleep(0.01)
    assert list(map(len, files(home).values())) != [], "nothing arrived: the test proves nothing"
    twin.interrupt()
    assert twin.answer() == "interrupted" and not files(home)
    twin.send("download", home, site.address("whole"))
    assert twin.answer() == "done" and list(files(home).values()) == [RECORD]


@POSIX
@pytest.mark.parametrize("name", ["value", "cache"])
def test_a_process_that_is_killed_leaves_nothing_that_is_found(name, home):
    """A file that nobody could clear away may stay; it is never taken for the real one."""
    write_source(home, 2)
    write_value(home, 1)
    killed = Twin()
    killed.send(name, home, 2, STEPS[name].call if name == "value" else "numpy.save")
    assert killed.answer() == "held"
    killed.end()
    assert read_value(home) == 1
    write_value(home, 2)
    load_cached(home, 2)
    assert read_value(home) == 2 and len(list(pictures.CACHE.glob("*.npy"))) == 1


@contextlib.contextmanager
def read_only(folder):
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def ordinary(twin):
    if twin.root:
        pytest.skip("root may write everywhere, and setpriv is not here to take that away")
    return twin


@POSIX
@pytest.mark.parametrize("name", STEPS)
def test_a_read_only_folder_is_named_and_left_alone(name, ordinary, tmp_path):
    step, folder = STEPS[name], tmp_path / "folder"
    folder.mkdir()
    step.write(folder, 1)
    before = files(folder)
    with read_only(folder):
        ordinary.send(name, folder, 2)
        answer = ordinary.answer()
    for word in ("PermissionError", str(folder), "could not be written (Permission denied)", "name another folder"):
        assert word in answer
    assert files(folder) == before and step.read(folder) == 1


@POSIX
def test_read_only_data_are_read_without_a_cache_and_not_downloaded_into(ordinary, site, home):
    write_source(home, 3)
    before = files(home)
    with read_only(home):
        ordinary.send("cache", home, 3)
        assert ordinary.answer() == "done"
        ordinary.send("download", home, site.address("whole"))
        answer = ordinary.answer()
    assert "OSError" in answer and "folder that can be written" in answer and str(home / "data") in answer
    assert files(home) == before


def one_whole_cache(home, version, monkeypatch):
    """The cache is one file; it is read, not made again."""
    assert len(list((home / "cache").glob("*.npy"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(Source, "decode", None)
        load_cached(home, version)


@pytest.mark.parametrize("call", ["numpy.save", "os.replace"])
@pytest.mark.parametrize("first", [0, 1])
def test_two_processes_fill_the_same_cache(call, first, twins, home, monkeypatch):
    write_source(home, 1)
    load_cached(home, 1)  # an old cache, which both take away
    write_source(home, 8)
    for twin in twins:
        twin.send("cache", home, 8, call)
    assert [twin.answer() for twin in twins] == ["held", "held"]
    for twin in (twins[first], twins[1 - first]):
        twin.release()
        assert twin.answer() == "done"
        one_whole_cache(home, 8, monkeypatch)
    assert len(files(home / "cache")) == 1


def test_two_processes_race_for_the_same_cache(twins, home, monkeypatch):
    for version in range(20):
        write_source(home, version)
        for twin in twins:
            twin.send("cache", home, version)
        assert [twin.answer() for twin in twins] == ["done", "done"]
        one_whole_cache(home, version, monkeypatch)


@POSIX
def test_a_process_that_stops_does_not_harm_the_other_one(twins, home, monkeypatch):
    write_source(home, 8)
    for twin in twins:
        twin.send("cache", home, 8, "numpy.save")
    assert [twin.answer() for twin in twins] == ["held", "held"]
    twins[0].interrupt()
    assert twins[0].answer() == "interrupted"
    twins[1].release()
    assert twins[1].answer() == "done"
    one_whole_cache(home, 8, monkeypatch)


def test_two_processes_write_the_same_file(twins, home):
    for twin, version in zip(twins, (1, 2), strict=True):
        twin.send("value", home, version, "os.replace")
    assert [twin.answer() for twin in twins] == ["held", "held"]
    for twin, version in zip(twins, (1, 2), strict=True):
        twin.release()
        assert twin.answer() == "done" and read_value(home) == version
    assert [path.name for path in files(home)] == ["x.tex"]


def test_two_processes_fetch_the_same_file(twins, site, home):
    for twin in twins:
        twin.send("download", home, site.address("pair"))
    assert [twin.answer() for twin in twins] == ["done", "done"]
    assert files(home) == {home / "data" / hmt.HMT_FILE: RECORD}
