"""Oracles of concept sets: masks in and out, colours by hand, parts beside the drawings, Broden made in its format."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

import xai_utils as xu
from heatproof.data import concept_pictures, phantom_faces

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((4, 6, 8, 3)).astype(np.float32)


def blob(share=0.4):
    return RANDOM.random((4, 6, 8)) < share


# --- sets made from masks ----------------------------------------------------------------------------------------


def test_masks_come_back_as_they_went_in_however_they_overlap():
    masks = {"part": {name: blob() for name in "abcd"}, "thing": {name: blob(0.1) for name in "ae"}}
    made = xu.Concepts(IMAGES, masks)
    assert len(made) == 4 and made.size == (6, 8) and made.names == tuple("abcdae")
    assert made.categories == ("part",) * 4 + ("thing",) * 2
    for category, named in masks.items():
        assert all(made.labelled[category])
        for name, mask in named.items():
            np.testing.assert_array_equal(made.mask(name, category), mask)
    np.testing.assert_array_equal(made.areas, [mask.sum() for named in masks.values() for mask in named.values()])
    deep = np.sum(list(masks["part"].values()), axis=0).max()
    assert made.maps["part"].shape == (4, deep, 6, 8), "as many layers as concepts meet on a pixel"
    np.testing.assert_array_equal(made.mask("b"), masks["part"]["b"])
    with pytest.raises(ValueError, match="name: got 'a'; allowed: one of .*with its category"):
        made.mask("a")
    with pytest.raises(ValueError, match="name: got 'z'; allowed: one of"):
        made.mask("z")
    with pytest.raises(ValueError, match="read-only"):
        made.maps["part"][:] = 0


def test_a_set_is_its_own_whatever_happens_to_what_it_was_made_of():
    mask, known = blob(), np.ones(4, bool)
    before, made = mask.copy(), xu.Concepts(IMAGES, {"part": {"a": mask}}, labelled={"part": known})
    mask[:], known[:] = False, False
    np.testing.assert_array_equal(made.mask("a"), before)
    assert made.labelled["part"].all()
    mask[:], known[:] = True, True  # they can still be written


def test_sets_that_do_not_fit_are_refused():
    mask, half = blob(), np.array([True, True, False, False])
    touching = mask & blob(0.5)
    both = {"colour": {"red": mask, "blue": touching}}
    with pytest.raises(ValueError, match="masks: got 'red' and 'blue' on the same pixels of 'colour'; allowed: one"):
        xu.Concepts(IMAGES, both, one_label=("colour",))
    assert xu.Concepts(IMAGES, both).maps["colour"].shape[1] == 2
    apart = {"colour": {"red": mask, "blue": ~mask}}
    assert xu.Concepts(IMAGES, apart, one_label=("colour",)).maps["colour"].shape[1] == 1
    wrong = [
        ({"a": {"b": mask & False}}, {}, r"masks\['a'\]\['b'\]: got a concept that is on no picture"),
        ({"a": {"b": mask[:3]}}, {}, r"got shape \(3, 6, 8\) of bool values; allowed: \(4, 6, 8\) of bool"),
        ({"a": {"b": mask[:, :5]}}, {}, r"got shape \(4, 5, 8\) of bool"),
        ({"a": {"b": mask * 1}}, {}, r"got shape \(4, 6, 8\) of int64"),
        ({"a": {"b": mask, "c": mask[:, ::2, ::2]}}, {}, r"masks of \(3, 4\) beside masks of \(6, 8\)"),
        ({"a": {"b": mask}, "c": {"d": mask[:, ::2, ::2]}}, {}, r"masks of \(3, 4\) beside masks of \(6, 8\)"),
        ({"a": {"b": mask}}, {"labelled": {"a": half}}, "a mask on pictures that are not labelled"),
        ({"a": {"b": mask}}, {"labelled": {"a": half & False}}, "no labelled picture"),
        (
            {"a": {"b": mask}},
            {"labelled": {"z": half}},
            r"labelled: got 'z'; allowed: categories of the masks, \['a'\]",
        ),
        ({"a": {"b": mask}}, {"one_label": ("z",)}, "one_label: got 'z'"),
    ]
    for masks, options, message in wrong:
        with pytest.raises(ValueError, match=message):
            xu.Concepts(IMAGES, masks, **options)
    small = xu.Concepts(IMAGES, {"a": {"b": mask[:, ::2, ::2]}})
    assert small.size == (3, 4)


# --- colours -----------------------------------------------------------------------------------------------------


def test_colours_by_hand():
    known = {
        "black": [(0, 0, 0), (0.19, 0, 0)],
        "white": [(1, 1, 1), (0.9, 0.85, 0.88)],
        "grey": [(0.5, 0.5, 0.5), (0.84, 0.8, 0.8)],
        "red": [(1, 0, 0), (0.8, 0.1, 0.2)],
        "orange": [(1, 0.5, 0), (0.7, 0.4, 0.1)],
        "brown": [(0.5, 0.25, 0), (0.4, 0.2, 0.1)],
        "yellow": [(1, 1, 0), (0.5, 0.5, 0)],
        "green": [(0, 1, 0), (0.2, 0.5, 0.4)],
        "blue": [(0, 0, 1), (0, 0.7, 0.9)],
        "purple": [(0.5, 0, 1), (0.5, 0.1, 0.9)],
        "pink": [(1, 0, 1), (1, 0.4, 0.8)],
    }
    names = list(known)
    picture = np.array([known[name] for name in names])[None]  # a row for each name
    found = xu.colour_masks(picture)
    assert set(found) == set(names)
    for row, name in enumerate(names):
        wanted = np.zeros((1, len(names), 2), bool)
        wanted[0, row] = True
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)
    some = xu.colour_masks(IMAGES)
    np.testing.assert_array_equal(np.sum(list(some.values()), axis=0), 1)
    xu.Concepts(IMAGES, {"colour": some}, one_label=("colour",))


# --- generated pictures ------------------------------------------------------------------------------------------


def test_items_of_concept_pictures_are_the_same_in_any_number_and_differ_by_seed():
    few, many, other = xu.concept_pictures(3, 5), xu.concept_pictures(6, 5), xu.concept_pictures(3, 6)
    np.testing.assert_array_equal(few.images, many.images[:3])
    np.testing.assert_array_equal(few.mask("disc"), many.mask("disc")[:3])
    assert np.abs(few.images - other.images).max() > 0.5
    assert few.images.dtype == np.float32 and 0 <= few.images.min() and few.images.max() <= 1


def test_the_colours_of_generated_pictures_are_those_of_their_pixels():
    """Measured by `colour_masks` on plain objects; the ground is grey and in no mask."""
    made, plain = xu.concept_pictures(60, seed=2), 0
    seen, objects = xu.colour_masks(made.images), np.zeros((60, 64, 64), bool)
    for name, category in zip(made.names, made.categories, strict=True):
        if category == "colour":
            objects |= made.mask(name)
            there = made.mask(name) & made.mask("plain")
            assert seen[name][there].all(), name
            plain += there.any()
    assert plain >= 5, "colours of which there is a plain object"
    for category in ("shape", "texture"):
        whole = (made.maps[category] > 0).any(axis=1)
        np.testing.assert_array_equal(whole, objects)
    ground = made.images[~objects]
    assert np.ptp(ground, axis=1).max() == 0 and 0.05 < objects.mean() < 0.4


def test_shapes_and_textures_have_the_look_of_their_names():
    made = xu.concept_pictures(60, seed=4)
    value = made.images.max(axis=-1)
    spread = {name: value[made.mask(name)].std() for name in ("plain", "stripes", "dots", "grid", "noise", "brick")}
    assert min(spread.values()) == spread["plain"]
    striped = value[made.mask("stripes") & made.mask("white")]
    assert np.allclose(np.sort(np.unique(striped.round(2))), [0.4, 1.0]), "two tones"


def test_the_areas_of_the_shapes_are_those_of_geometry():
    """A disc of radius 1, a square of side 1.7, a triangle 1.7 high, a ring from 0.55 to 1.05, a cross 2 wide."""
    v, u = np.mgrid[-1.2:1.2:0.005, -1.2:1.2:0.005]
    cross, ring = 2 * 2 * 0.6 - 0.6**2, np.pi * (1.05**2 - 0.55**2)
    wanted = {"disc": np.pi, "square": 1.7**2, "triangle": 1.7 * 1.7 / 1.8, "ring": ring, "cross": cross}
    assert set(wanted) == set(concept_pictures.SHAPES)
    for name, area in wanted.items():
        np.testing.assert_allclose(concept_pictures._SHAPES[name](u, v).sum() * 0.005**2, area, rtol=0.01)


# --- parts of phantoms -------------------------------------------------------------------------------------------


def test_face_parts_lie_where_a_change_of_the_part_changes_the_picture():
    plain = {"glasses": 0, "hair": 0, "noise": 0.0}
    bald, haired = (xu.face_parts(7, 3, fixed={**plain, "hair": style}) for style in (0, 3))
    assert "hair" not in bald.names and "glasses" not in bald.names
    moved = np.abs(bald.images - haired.images)[..., 0] > 1e-6
    assert moved[haired.mask("hair")].mean() > 0.98
    assert haired.mask("hair")[moved].mean() > 0.9, "and what is not hair is its anti-aliased edge"
    worn = xu.face_parts(7, 3, fixed={**plain, "glasses": 2})
    moved = np.abs(worn.images - bald.images)[..., 0] > 1e-6
    np.testing.assert_array_equal(worn.mask("glasses"), moved | worn.mask("glasses"))
    assert moved[worn.mask("glasses")].mean() > 0.95


def test_face_parts_are_inside_the_evidence_and_in_their_order():
    """Brows, eyes and mouth are all of the evidence but for its border of one pixel; brows above eyes above mouth."""
    made, phantom = xu.face_parts(14, 1), xu.schematic_faces(14, 1)
    np.testing.assert_array_equal(made.images, phantom.images)
    evidence = np.any([made.mask(name) for name in ("brow", "eye", "mouth")], axis=0)
    assert phantom.masks[evidence].all() and evidence.sum() > 0.35 * phantom.masks.sum()
    rows = {name: [np.argwhere(mask)[:, 0].mean() for mask in made.mask(name)] for name in ("brow", "eye", "mouth")}
    assert (np.array(rows["brow"]) < rows["eye"]).all() and (np.array(rows["eye"]) < rows["mouth"]).all()
    assert made.maps["part"].shape[1] == 1 and set(made.names) <= set(phantom_faces.PARTS)
    stamped = xu.face_parts(7, 1, confounded=1.0)
    np.testing.assert_array_equal(stamped.mask("watermark"), xu.schematic_faces(7, 1, confounded=1.0).artefact_masks)
    assert not (stamped.mask("watermark") & stamped.mask("hair")).any()


def test_tissue_parts_by_their_colours_and_tissues():
    """Nuclei are bluer than what is around them, lumina and fat cells as bright as glass; each in its own tissue."""
    made, phantom = xu.tissue_parts(8, 2, fixed={"noise": 0.0}), xu.tissue_phantom(8, 2, fixed={"noise": 0.0})
    np.testing.assert_array_equal(made.images, phantom.images)
    of = {name: phantom.class_names[label] for name, label in (("gland", 5), ("lumen", 5), ("fat cell", 6))}
    assert of == {"gland": "mucosa", "lumen": "mucosa", "fat cell": "adipose"}
    for name, tissue in of.items():
        there = np.array([phantom.class_names[label] == tissue for label in phantom.labels])
        assert made.mask(name)[there].any(axis=(1, 2)).all() and not made.mask(name)[~there].any()
        assert phantom.masks[made.mask(name)].all(), "within the patch"
    assert made.mask("gland")[made.mask("lumen")].all()
    bright = phantom.images.mean(axis=-1)
    for name in ("lumen", "fat cell"):
        assert bright[made.mask(name)].mean() > bright[~made.mask(name)].mean() + 0.1
    red, nuclei = phantom.images[..., 0], made.mask("nucleus")
    assert nuclei.any(axis=(1, 2)).all() and 0.01 < nuclei.mean() < 0.3
    for item in range(8):
        assert red[item][nuclei[item]].mean() < red[item][~nuclei[item]].mean() - 0.1
    inked = xu.tissue_parts(2, 2, confounded=1.0)
    np.testing.assert_array_equal(inked.mask("ink"), xu.tissue_phantom(2, 2, confounded=1.0).artefact_masks)


# --- Broden, made in its published format ------------------------------------------------------------------------

SIDE, MASK = 224, 112
LABELS = {1: "black-c", 2: "blue-c", 300: "tree", 301: "car", 302: "wheel", 700: "street-s", 800: "striped"}
OF = {"color": (1, 2), "object": (300, 301), "part": (302, 301), "scene": (700,), "texture": (800,)}
PICTURES = 12


def code_map(random, numbers):
    """A map of label numbers with 0 between them, and its PNG as published: R + 256 G."""
    codes = random.choice([0, *numbers], (MASK, MASK))
    pixels = np.stack([codes % 256, codes // 256, 0 * codes], axis=-1).astype(np.uint8)
    return codes, png(pixels)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def table(columns, rows):
    return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]).encode()


def broden(random):
    """{name: bytes} of a set of twelve pictures, its pictures, and {category: {item: list of maps}}."""
    files, truth, rows, pictures = {}, {name: {} for name in OF}, [], []
    for item in range(PICTURES):
        pictures.append(random.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8))
        files[f"images/ade/p_{item}.png"] = png(pictures[-1])
        cells = dict.fromkeys(OF, "")
        for category, count in {"color": 1, "object": item % 2, "part": 2 * (item % 3 == 0)}.items():
            names = []
            for layer in range(count):
                codes, content = code_map(random, OF[category])
                names.append(f"ade/p_{item}_{category}_{layer}.png")
                files[f"images/{names[-1]}"] = content
                truth[category].setdefault(item, []).append(codes)
            cells[category] = ";".join(names)
        for category, number in {"scene": 700, "texture": 800}.items():
            if item % 4 == (category == "scene"):
                cells[category] = str(number)
                truth[category][item] = [np.full((MASK, MASK), number)]
        split = "train" if item < 8 else "val"
        rows.append((f"ade/p_{item}.png", split, SIDE, SIDE, MASK, MASK, *cells.values()))
    files["index.csv"] = table(["image", "split", "ih", "iw", "sh", "sw", *OF], rows)
    files["category.csv"] = table(
        ["name", "first", "last", "count", "frequency"], [(name, 0, 0, len(own), 1) for name, own in OF.items()]
    )
    every = {number: [name for name, own in OF.items() if number in own] for number in LABELS}
    files["label.csv"] = table(
        ["number", "name", "category", "frequency", "coverage", "syns"],
        [(number, LABELS[number], ";".join(f"{each}(1)" for each in own), 1, 1, "") for number, own in every.items()],
    )
    for category, own in OF.items():
        named = [(code, number, LABELS[number], 1, 1) for code, number in enumerate(own, start=1)]
        files[f"c_{category}.csv"] = table(["code", "number", "name", "frequency", "coverage"], named)
    return files, np.stack(pictures), truth


@pytest.fixture(scope="module")
def made():
    return broden(np.random.default_rng(7))


def write(folder, files, zipped):
    """The files as a folder or a zip below the data folder, in a folder of their name."""
    if zipped:
        with zipfile.ZipFile(folder / "broden1_224.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(f"broden1_224/{name}", content)
        return
    for name, content in files.items():
        path = folder / "broden1_224" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_broden_is_read_as_published(made, tmp_path, monkeypatch, zipped):
    files, pictures, truth = made
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    write(tmp_path, files, zipped)
    found = xu.load_broden(224, "all")
    np.testing.assert_allclose(found.images, pictures / 255, atol=1e-6)
    assert found.size == (MASK, MASK) and len(found) == PICTURES
    wanted = [(LABELS[number], category) for category, own in OF.items() for number in sorted(own)]
    assert list(zip(found.names, found.categories, strict=True)) == wanted
    for category, own in OF.items():
        known = np.isin(np.arange(PICTURES), list(truth[category]))
        np.testing.assert_array_equal(found.labelled[category], known)
        for number in own:
            mask = np.zeros((PICTURES, MASK, MASK), bool)
            for item, maps in truth[category].items():
                mask[item] = np.any([codes == number for codes in maps], axis=0)
            np.testing.assert_array_equal(found.mask(LABELS[number], category), mask)
            assert found.areas[found.number(LABELS[number], category)] == mask.sum(), "a label counts once"


def test_parts_of_broden_and_their_first_pictures(made, tmp_path, monkeypatch):
    files, pictures, truth = made
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    write(tmp_path, files, False)
    some = xu.load_broden(count=1, part="train")
    np.testing.assert_allclose(some.images, pictures[:1] / 255, atol=1e-6)
    assert "scene" not in some.categories and "object" not in some.labelled, "absent concepts are left out"
    np.testing.assert_array_equal(some.mask("blue-c")[0], truth["color"][0][0] == 2)
    assert len(xu.load_broden()) == 4 and len(xu.load_broden(part="train")) == 8
    np.testing.assert_allclose(xu.load_broden(part="val", count=2).images, pictures[8:10] / 255, atol=1e-6)


def changed(files, name, old, new):
    return {**files, name: files[name].replace(old, new)}


def faults(files):
    """(files with a fault, what the refusal says)."""
    small = png(np.zeros((9, 9, 3), np.uint8))
    blue = png(np.full((MASK, MASK, 3), (1, 0, 7), np.uint8))
    strange = png(np.full((MASK, MASK, 3), (99, 0, 0), np.uint8))
    without = lambda name: {each: content for each, content in files.items() if each != name}  # noqa: E731
    colour = "images/ade/p_0_color_0.png"
    yield without("index.csv"), "holds 0 files named index.csv"
    yield {**files, "more/index.csv": b"a"}, "holds 2 files named index.csv"
    yield without("c_part.csv"), "c_part.csv is missing"
    yield without("label.csv"), "label.csv is missing"
    yield {**files, "label.csv": b"\xff\xfe\x00"}, "label.csv is not a readable table"
    yield {**files, "category.csv": b"name\n"}, "category.csv has no rows"
    yield changed(files, "index.csv", b"sh,sw", b"sh,width"), "index.csv has no column 'sw'"
    yield changed(files, "index.csv", b",texture", b",fabric"), "no column for the category 'texture'"
    yield changed(files, "label.csv", b"302,wheel", b"none,wheel"), "label.csv holds 'none' where a number"
    yield (
        changed(files, "label.csv", b"302,wheel", b"303,wheel"),
        "c_part.csv has the label 302, which label.csv has not",
    )
    yield changed(files, "index.csv", b"224,224", b"224,225"), r"pictures of .* and maps of"
    yield changed(files, "index.csv", b"112,112", b"0,0"), "has pictures of .* and maps of"
    yield changed(files, "index.csv", b"train", b"test"), "has no picture of the part 'train'"
    yield changed(files, "index.csv", b"ade/p_1.png", b"../p_1.png"), "names .*which is not there"
    yield without(colour), "names 'broden1_224/images/ade/p_0_color_0.png'|names 'images/ade/p_0_color_0.png'"
    yield {**files, colour: small}, r"p_0_color_0.png is \(9, 9\) pixels"
    yield {**files, colour: b"no picture"}, "p_0_color_0.png is not a readable image"
    yield {**files, colour: blue}, "p_0_color_0.png has blue in it"
    yield {**files, colour: strange}, "labels 'ade/p_0_color_0.png' with 99, which c_color.csv has not"
    twice = b"ade/p_0_color_0.png;ade/p_1_color_0.png"
    yield (
        changed(files, "index.csv", b"ade/p_0_color_0.png", twice),
        "several labels on one pixel in the category 'color'",
    )


@pytest.mark.parametrize("number", range(20))
def test_a_malformed_broden_is_refused(made, tmp_path, monkeypatch, number):
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    files, message = list(faults(made[0]))[number]
    write(tmp_path, files, zipped=number % 2 == 1)
    with pytest.raises(ValueError, match=message):
        xu.load_broden(part="train")


def test_an_absent_broden_is_never_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="broden1_227 is not in .*broden1_227.zip"):
        xu.load_broden(227)


def test_a_zip_of_broden_that_leaves_its_folder_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "broden1_224.zip", "w") as archive:
        archive.writestr("../index.csv", "image\n")
    with pytest.raises(ValueError, match="a path out of its folder"):
        xu.load_broden()
