"""Oracles for the loaders: archives made here in every layout, with known pixels."""

import hashlib
import http.server
import io
import re
import socket
import threading
import time
import zipfile
from functools import partial
from pathlib import Path

import matplotlib.cbook
import matplotlib.pyplot as plt
import numpy as np
import pytest
import skimage
from PIL import Image
from sklearn.datasets import load_sample_image as sample

from heatproof import folders
from heatproof.data import fer2013, hmt, photographs, pictures
from heatproof.data.archives import Source

TEST_TILE, TRAIN_TILE = "D948_CRC-Prim-HE-09_006.tif_Row_151_Col_1", "1B22_CRC-Prim-HE-10_003.tif_Row_1_Col_301"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty data folder and a cache of its own for each test."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("XAI_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(pictures, "CACHE", tmp_path / "cache")
    return tmp_path / "data"


def encode(pixels, suffix):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, {".tif": "TIFF", ".webp": "WEBP", ".png": "PNG"}[suffix], lossless=True)
    return buffer.getvalue()


def tile(value):
    return np.full((150, 150, 3), value, dtype=np.uint8) + np.array([0, 1, 2], dtype=np.uint8)


def write(folder, layout, files):
    """``layout`` names a zip or a folder in the data folder."""
    for name, content in files.items():
        if layout.endswith(".zip"):
            with zipfile.ZipFile(folder / layout, "a") as archive:
                archive.writestr(name, content)
        else:
            (folder / layout / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / layout / name).write_bytes(content)


HMT_LAYOUTS = {
    "record, zipped": (
        "Kather_texture_2016_image_tiles_5000.zip",
        "Kather_texture_2016_image_tiles_5000/{}/{}",
        ".tif",
    ),
    "record, folder": ("Kather_texture_2016_image_tiles_5000", "{}/{}", ".tif"),
    "course, zipped": ("hmt.zip", "hmt/HMT_{part}/{}/{}", ".webp"),
    "course, folder": ("hmt", "HMT_{part}/{}/{}", ".webp"),
}


@pytest.mark.parametrize("layout", HMT_LAYOUTS)
def test_hmt_reads_every_layout_alike(folder, layout):
    place, pattern, suffix = HMT_LAYOUTS[layout]
    files = {
        pattern.format("04_LYMPHO", TEST_TILE, part="test") + suffix: encode(tile(100), suffix),
        pattern.format("04_LYMPHO", TRAIN_TILE, part="train") + suffix: encode(tile(50), suffix),
        pattern.format("01_TUMOR", "626_CRC-Prim-HE-01_035.tif_Row_1_Col_1", part="train") + suffix: encode(
            tile(0), suffix
        ),
    }
    write(folder, place, files)
    test, train, everything = (hmt.load_hmt(part) for part in ("test", "train", "all"))
    assert test.names == (TEST_TILE,) and test.class_names[test.labels[0]] == "lympho"
    assert train.labels.tolist() == [0, 3] and train.names[1] == TRAIN_TILE
    assert everything.names == (train.names[0], TRAIN_TILE, TEST_TILE)
    np.testing.assert_allclose(test.images[0, 7, 9], np.array([100, 101, 102]) / 255, rtol=1e-6)
    assert test.images.dtype == np.float32 and not test.images.flags.writeable


def test_hmt_split_follows_the_order_of_a_file_browser():
    """Worked by hand: 9_ < 10_ as numbers, digits before letters; the boundary itself is a test tile."""
    ordered = ["9_A", "10_A", "12A_B", "A2_B", "A10_B", "B_A"]
    assert sorted(reversed(ordered), key=hmt._natural_order) == ordered
    first = hmt.HMT_FIRST_TEST_TILE[0]
    assert hmt.is_hmt_test_tile(first, 0) and hmt.is_hmt_test_tile("A839_CRC-Prim-HE-02_013.tif", 0)
    assert not hmt.is_hmt_test_tile("13858_CRC-Prim-HE-04_033.tif_Row_601_Col_1", 0)
    assert not hmt.is_hmt_test_tile("1334D_CRC-Prim-HE-02_007b.tif_Row_1_Col_301", 0)
    assert hmt.hmt_slide(first) == "04"


def test_cache_serves_again_and_notices_a_changed_source(folder):
    name = f"HMT_test/04_LYMPHO/{TEST_TILE}.png"
    write(folder, "hmt.zip", {name: encode(tile(10), ".png")})
    assert hmt.load_hmt().images[0, 0, 0, 0] == np.float32(10 / 255)
    cached = list(pictures.CACHE.glob("hmt-*.npy"))
    np.save(cached[0], np.full((1, 150, 150, 3), 77, dtype=np.uint8))  # a mark: it is read if the cache is used
    assert hmt.load_hmt().images[0, 0, 0, 0] == np.float32(77 / 255)
    cached[0].write_bytes(b"damaged")
    assert hmt.load_hmt().images[0, 0, 0, 0] == np.float32(10 / 255)
    time.sleep(0.01)
    (folder / "hmt.zip").unlink()
    write(folder, "hmt.zip", {name: encode(tile(20), ".png")})
    assert hmt.load_hmt().images[0, 0, 0, 0] == np.float32(20 / 255)
    assert len(list(pictures.CACHE.iterdir())) == 1


def face(value):
    return np.arange(48 * 48, dtype=np.uint8).reshape(48, 48) // 2 + np.uint8(value)


FER_ROWS = [(3, face(1), "Training"), (6, face(2), "PublicTest"), (0, face(3), "PrivateTest")]


def fer_table(columns):
    fields = {"emotion": 0, "pixels": 1, "Usage": 2}
    lines = [",".join(columns)]
    for row in FER_ROWS:
        cells = [row[0], " ".join(map(str, row[1].ravel())), row[2]]
        lines.append(",".join(str(cells[fields[column.strip()]]) for column in columns))
    return "\n".join(lines).encode()


FER_LAYOUTS = {
    "fer2013.csv": lambda folder: (folder / "fer2013.csv").write_bytes(fer_table(["emotion", "pixels", "Usage"])),
    "icml_face_data.csv": lambda folder: (folder / "icml_face_data.csv").write_bytes(
        fer_table(["emotion", " Usage", " pixels"])
    ),
    "table in a zip": lambda folder: write(
        folder, "fer2013.zip", {"fer2013/fer2013.csv": fer_table(["emotion", "pixels", "Usage"])}
    ),
    "images in a zip": lambda folder: write(
        folder,
        "fer2013.zip",
        {
            "train/happy/Training_1.png": encode(face(1), ".png"),
            "test/neutral/PublicTest_2.png": encode(face(2), ".png"),
            "test/angry/PrivateTest_3.png": encode(face(3), ".png"),
        },
    ),
    "images in a folder": lambda folder: write(
        folder,
        "fer2013",
        {
            "train/happy/Training_1.png": encode(face(1), ".png"),
            "test/neutral/PublicTest_2.png": encode(face(2), ".png"),
            "test/angry/PrivateTest_3.png": encode(face(3), ".png"),
        },
    ),
}


@pytest.mark.parametrize("layout", FER_LAYOUTS)
def test_fer2013_reads_every_layout_alike(folder, layout):
    FER_LAYOUTS[layout](folder)
    for part, (label, pixels, usage) in zip(("train", "validation", "test"), FER_ROWS, strict=True):
        faces = fer2013.load_fer2013(part)
        assert faces.labels.tolist() == [label] and faces.names[0].startswith(usage)
        np.testing.assert_allclose(faces.images[0, ..., 0], pixels / 255, rtol=1e-6)
    assert len(fer2013.load_fer2013("all").images) == 3
    assert fer2013.load_fer2013("train").class_names[3] == "happy"


def test_faces_are_the_photographs_that_scikit_image_ships():
    faces = pictures.load_faces()
    assert faces.images.shape == (13, 48, 48, 1) and len(faces.names) == 13
    small = skimage.data.lfw_subset()
    for image, name in list(zip(faces.images[..., 0], faces.names, strict=True))[1:]:
        reduced = skimage.transform.resize(image.astype(float), (25, 25), anti_aliasing=True)
        matches = [np.corrcoef(reduced.ravel(), original.ravel())[0, 1] for original in small[:100]]
        assert f"lfw_{int(np.argmax(matches)):02d}" == name and max(matches) > 0.95
    assert faces.class_names[faces.labels[0]] == "happy"
    assert faces.images.min() >= 0 and faces.images.max() <= 1


def test_photos_are_centre_squares():
    photos = photographs.load_photos(512)
    np.testing.assert_allclose(photos.images[3] * 255, skimage.data.astronaut(), atol=0.01)
    square = photographs._centre_square(np.arange(24).reshape(4, 6))
    np.testing.assert_array_equal(square, [[1, 2, 3, 4], [7, 8, 9, 10], [13, 14, 15, 16], [19, 20, 21, 22]])
    with pytest.raises(ValueError, match="size: got 0"):
        photographs.load_photos(0)


def test_every_photograph_is_the_one_that_its_name_source_and_licence_say():
    """In its own resolution a photograph is its centre square, whichever package brings it."""
    theirs = {name: getattr(skimage.data, name) for name in ("coffee", "rocket", "coins", "moon", "retina")}
    theirs |= {"cat": skimage.data.chelsea, "clock": skimage.data.clock, "flower": partial(sample, "flower.jpg")}
    theirs |= {"temple": partial(sample, "china.jpg"), "motorcycle": lambda: skimage.data.stereo_motorcycle()[0]}
    theirs["admiral"] = lambda: plt.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    for name, load in theirs.items():
        square = photographs._centre_square(load())
        photo = photographs.load_photos(len(square), [name])
        grey = square if square.ndim == 3 else np.repeat(square[..., None], 3, axis=-1)
        np.testing.assert_allclose(photo.images[0] * 255, grey, atol=0.01, err_msg=name)
        assert photo.names == photo.class_names == (name,) and photo.labels.tolist() == [0]


def test_photos_come_without_a_network_with_a_line_of_source_and_of_licence_each(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a photograph was fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    photos = photographs.load_photos(16)
    assert photos.images.shape == (21, 16, 16, 3) and photos.names[:4] == ("cat", "coffee", "rocket", "astronaut")
    assert 0 <= photos.images.min() and photos.images.max() <= 1 and photos.images.std(axis=(1, 2, 3)).min() > 0.005
    for text in (photos.source, photos.licence):
        lines = text.splitlines()
        assert [line.partition(": ")[0] for line in lines] == list(photos.names) and all(
            line[-1] != " " for line in lines
        )
    assert "flower: CC BY 2.0" in photos.licence and "cat: Stefan van der Walt" in photos.source
    some = photographs.load_photos(16, ["flower", "cat"])
    np.testing.assert_array_equal(some.images, photos.images[[photos.names.index("flower"), 0]])


def test_photos_of_a_tall_picture_lie_in_its_middle_and_a_fine_pattern_becomes_its_mean(monkeypatch):
    tall = np.arange(24).reshape(6, 4)
    np.testing.assert_array_equal(photographs._centre_square(tall), tall[1:5])
    chequered = np.repeat(np.indices((63, 63)).sum(axis=0)[..., None] % 2 * 255, 3, axis=2).astype(np.uint8)
    monkeypatch.setattr(photographs, "_opened", lambda photograph: chequered)
    reduced = photographs.load_photos(9, ["cat"]).images[0, 2:-2, 2:-2]  # seven pixels to one: a plain look takes one
    np.testing.assert_allclose(reduced, 0.5, atol=0.05)
    with pytest.raises(ValueError, match="each at most once"):
        photographs.load_photos(8, ["cat", "cat"])


def test_a_photograph_that_a_package_does_not_bring_is_refused(monkeypatch):
    gone = photographs.PHOTOGRAPHS["cat"]._replace(file="chelsea.tif")
    monkeypatch.setitem(photographs.PHOTOGRAPHS, "cat", gone)
    with pytest.raises(FileNotFoundError, match="chelsea.tif, which the installed skimage does not bring"):
        photographs.load_photos(8, ["cat"])
    monkeypatch.setitem(photographs.PHOTOGRAPHS, "cat", gone._replace(package="matplotlib"))
    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="the installed matplotlib does not bring"):
        photographs.load_photos(8, ["cat"])


def ramps(side=(40, 50)):
    """Two photographs whose first channel is the row, whose second is the column, whose third is the photograph."""
    rows, columns = np.mgrid[: side[0], : side[1]]
    images = [np.stack([rows / 100, columns / 100, np.full(side, number)], axis=-1) for number in (0, 1)]
    return pictures.as_dataset(images, (5, 3), tuple("abcdef"), ("one", "two"), "made here", "none")


def test_crops_are_the_squares_that_their_names_say():
    """Of a ramp every pixel tells its place: the centre of pixel k of n lies at top + (k + 1/2) side / n - 1/2."""
    found = photographs.crops(ramps(), 60, scales=(0.25, 0.5, 0.75), size=80)
    assert found.images.dtype == np.float32 and found.class_names == tuple("abcdef") and found.source == "made here"
    for number, (image, label, name) in enumerate(zip(found.images, found.labels, found.names, strict=True)):
        photo, side, top, left = re.fullmatch(r"(\w+), (\d+) pixels from row (\d+), column (\d+)", name).groups()
        side, top, left = int(side), int(top), int(left)
        assert (photo, label) == (("one", 5), ("two", 3))[number % 2] and side == (10, 20, 30)[number // 2 % 3]
        assert 0 <= top <= 40 - side and 0 <= left <= 50 - side
        inner = np.clip((np.arange(80) + 0.5) * side / 80 - 0.5, 0, side - 1)
        np.testing.assert_allclose(image[:, 7, 0], (top + inner) / 100, atol=1e-5)
        np.testing.assert_allclose(image[9, :, 1], (left + inner) / 100, atol=1e-5)
        np.testing.assert_allclose(image[..., 2], number % 2, atol=1e-6)


def test_crops_reach_every_place_alike_and_fewer_are_the_first_of_more():
    many = photographs.crops(ramps((10, 12)), 1400, scales=(0.4,), size=4, seed=3)
    places = [tuple(map(int, re.findall(r"row (\d+), column (\d+)", name)[0])) for name in many.names]
    for axis, ways in ((0, 7), (1, 9)):
        share = np.bincount([place[axis] for place in places], minlength=ways) / 1400
        assert len(share) == ways and np.abs(share - 1 / ways).max() < 4 * np.sqrt(1 / ways / 1400)
    few = photographs.crops(ramps((10, 12)), 9, scales=(0.4,), size=4, seed=3)
    np.testing.assert_array_equal(few.images, many.images[:9])
    assert photographs.crops(ramps((10, 12)), 9, scales=(0.4,), size=4, seed=4).names != few.names


def test_a_crop_that_is_reduced_keeps_its_mean_and_the_whole_stays_the_whole():
    chequered = np.indices((40, 40)).sum(axis=0)[None, ..., None] % 2
    photo = pictures.as_dataset(chequered, (0,), ("a",), ("a",), "made here", "none")
    reduced = photographs.crops(photo, 1, scales=(1,), size=10).images
    np.testing.assert_allclose(reduced, 0.5, atol=0.01)  # no pixel is left out: every second one alone would be 0 or 1
    whole = photographs.crops(photo, 2, scales=(1,), size=40).images
    np.testing.assert_array_equal(whole, np.repeat(photo.images, 2, axis=0))


# ------------------------------------------------------------------------------------------------------- bad input


def test_absent_data_says_how_to_get_it_in_one_line(folder):
    for load, cure in ((hmt.load_hmt, "make data"), (fer2013.load_fer2013, "Kaggle")):
        with pytest.raises(FileNotFoundError, match=cure) as raised:
            load()
        assert str(folder) in str(raised.value) and "\n" not in str(raised.value)


def test_a_relative_data_folder_counts_from_the_root(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XAI_DATA", "some/place")
    assert folders.data_folder() == Path(pictures.__file__).parents[2] / "some/place"
    monkeypatch.delenv("XAI_DATA")
    assert folders.data_folder() == Path(pictures.__file__).parents[2] / "data"


@pytest.mark.parametrize("name", ["../01_TUMOR/a.png", "/01_TUMOR/a.png", "a\\..\\b.png", "C:/a.png"])
def test_a_zip_that_leaves_its_folder_is_refused(folder, name):
    write(folder, "hmt.zip", {name: encode(tile(0), ".png")})
    with pytest.raises(ValueError, match="out of its folder"):
        hmt.load_hmt()


def test_damaged_sources_are_named(folder):
    (folder / "hmt.zip").write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match="not a complete zip"):
        hmt.load_hmt()
    (folder / "hmt.zip").unlink()
    write(folder, "hmt.zip", {f"04_LYMPHO/{TEST_TILE}.png": encode(tile(0), ".png")[:200]})
    with pytest.raises(ValueError, match=f"{TEST_TILE}.png is not a readable image"):
        hmt.load_hmt()
    (folder / "hmt.zip").unlink()
    write(folder, "hmt.zip", {f"04_LYMPHO/{TEST_TILE}.png": encode(tile(0)[:100], ".png")})
    with pytest.raises(ValueError, match=r"\(100, 150\) pixels; needed are \(150, 150\)"):
        hmt.load_hmt()
    (folder / "fer2013.csv").write_text("emotion,pixels,Usage\n3,1 2 3,Training\n")
    with pytest.raises(ValueError, match="row 0 of fer2013.csv"):
        fer2013.load_fer2013("train")
    (folder / "fer2013.csv").write_text("emotion,Usage\n3,Training\n")
    with pytest.raises(ValueError, match=r"lacks the columns \['pixels'\]"):
        fer2013.load_fer2013("train")
    assert not pictures.CACHE.exists()


def test_unknown_part(folder):
    with pytest.raises(ValueError, match="part: got 'valid'; allowed: 'train', 'validation', 'test', 'all'"):
        fer2013.load_fer2013("valid")
    with pytest.raises(ValueError, match="part: got 'valid'; allowed: 'train', 'validation', 'test', 'all'"):
        hmt.load_hmt("valid")


def test_the_last_tenth_of_each_class_is_the_validation_part():
    """Of 20 and 10 tiles that are no test tiles: the last two and the last one, in the order of the loader."""
    labels = np.repeat([0, 1], [25, 12])
    among = np.ones(37, bool)
    among[[0, 1, 2, 3, 4, 25, 36]] = False  # test tiles
    assert np.flatnonzero(hmt.last_tenth(labels, among)).tolist() == [23, 24, 35]


def test_fetch_checks_the_hash_keeps_nothing_wrong_and_retries_cleanly(folder, monkeypatch, tmp_path):
    content = b"the record" * 1000
    (tmp_path / "site").mkdir()
    served = tmp_path / "site" / "record.zip"
    served.write_bytes(content[:-1])  # cut short

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=served.parent)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(hmt, "HMT_URL", f"http://127.0.0.1:{server.server_port}/record.zip")
    monkeypatch.setattr(hmt, "HMT_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setenv("XAI_PROGRESS", "0")
    try:
        with pytest.raises(OSError, match="nothing was kept"):
            hmt.fetch_hmt()
        assert list(folder.iterdir()) == []
        served.write_bytes(content)
        assert hmt.fetch_hmt().read_bytes() == content
        assert [file.name for file in folder.iterdir()] == [hmt.HMT_FILE]
    finally:
        server.shutdown()
        server.server_close()


# ------------------------------------------------------------------------------------------ the data sets themselves


@pytest.fixture
def real_data(request, monkeypatch):
    """The folder that XAI_DATA named when the tests started."""
    monkeypatch.undo()
    return folders.data_folder()


@pytest.mark.data
def test_hmt_itself(real_data, monkeypatch):
    try:
        everything = hmt.load_hmt("all")
    except FileNotFoundError as absent:
        pytest.skip(str(absent))
    test = hmt.load_hmt("test")
    assert np.bincount(everything.labels).tolist() == [625] * 8
    assert np.bincount(test.labels).tolist() == [62] * 8
    assert len(set(everything.names)) == 5000
    held_out = np.isin([hmt.hmt_slide(name) for name in everything.names], ["05", "10"])
    assert held_out.sum() == 899 and np.bincount(everything.labels[held_out]).min() == 35
    with Source(pictures.find(hmt.HMT_PLACES, "hmt", "")) as files:
        told = {Path(name).stem for name in files.images if "HMT_test" in name}
    assert not told or told == set(test.names)
    monkeypatch.setattr(Source, "decode", None)  # the second time nothing is decoded
    np.testing.assert_array_equal(hmt.load_hmt("test").images, test.images)


@pytest.mark.data
def test_fer2013_itself(real_data):
    try:
        parts = {part: fer2013.load_fer2013(part) for part in ("train", "validation", "test")}
    except FileNotFoundError as absent:
        pytest.skip(str(absent))
    assert [len(part.images) for part in parts.values()] == [28709, 3589, 3589]
    counts = sum(np.bincount(part.labels, minlength=7) for part in parts.values())
    assert counts.tolist() == [4953, 547, 5121, 8989, 6077, 4002, 6198]
