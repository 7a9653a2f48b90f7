"""The command line: its map is the method's own map, its figure says what was explained, bad input leaves nothing."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

import xai_utils as xu
from heatproof import __main__ as command
from heatproof.command.words import as_typed
from heatproof.networks import cards
from heatproof.problems import ArgumentTypeError

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
FACES = MODELS / "faces.keras"


@pytest.fixture(autouse=True)
def style():
    """The command sets the style of the figures, in a process of its own; here the other tests share it."""
    with mpl.rc_context():
        yield


@pytest.fixture(scope="module")
def faces():
    """The network that most tests explain."""
    return xu.load_model(FACES)


@pytest.fixture(autouse=True)
def loaded_once(faces, monkeypatch):
    """The processes at the end read that network from its file; here one copy, whose graphs are kept, is enough."""
    read = cards.load_model
    monkeypatch.setattr(cards, "load_model", lambda path: faces if str(path) == str(FACES) else read(path))
    kept = faces.input_range, faces.class_names
    yield
    assert (faces.input_range, faces.class_names) == kept, "the copy must not be changed"


@pytest.fixture(scope="module")
def reference():
    """The same network, read apart."""
    return xu.load_model(FACES)


@pytest.fixture(scope="module")
def pixels():
    """A face as a file holds it: uint8 (48, 48)."""
    return np.round(255 * xu.load_faces().images[0, ..., 0]).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, pixels):
    """A folder with pictures, good and bad."""
    Image.fromarray(pixels).save(tmp_path / "face.png")
    whole = (tmp_path / "face.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(np.dstack([pixels] * 3 + [pixels])).save(tmp_path / "ghost.png")
    (tmp_path / "broken.keras").write_bytes(FACES.read_bytes()[:5000])
    shutil.copy(FACES, tmp_path / "own.keras")  # without its card
    (tmp_path / "inside").mkdir()
    return tmp_path


def explain(folder, *options, model=FACES, image="face.png", out="why.png"):
    return command.main(
        ["explain", "--model", str(model), "--image", str(folder / image), "--out", str(folder / out), *options]
    )


# ---- in words


def test_a_sentence_comes_from_the_captioner_beside_the_network(folder, capsys):
    model = MODELS / "captioned_faces.keras"
    face = xu.load_captioned("faces", "test", count=1).images[0, ..., 0]
    Image.fromarray(np.round(255 * face).astype(np.uint8)).save(folder / "drawn.png")
    found = command.explain(model, folder / "drawn.png", "saliency", "fear", in_words=True)
    captioner = xu.load_captioner(MODELS / "captioners" / "captioned_faces_explanation.keras")
    expected = xu.explain_in_words(xu.load_model(model), captioner, found.inputs, 2)
    assert found.words.sentences == expected.sentences
    np.testing.assert_array_equal(found.attribution, expected.maps[0])
    assert explain(folder, "--in-words", model=model, image="drawn.png") == 0
    said = capsys.readouterr().out
    own = xu.explain_in_words(xu.load_model(model), captioner, found.inputs)
    assert f"in words:  {own.sentences[0]} (log p {own.log_probabilities[0]:.1f})" in said
    with Image.open(folder / "why.png") as figure:
        assert figure.height > 300  # words fill more than one row


def test_a_network_without_a_captioner_is_refused(folder, capsys):
    assert explain(folder, "--in-words") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --model: got ") and "leave --in-words out" in said
    assert not (folder / "why.png").exists()


# ---- the map


@pytest.mark.parametrize(
    "name, target, layer",
    [("grad-cam", None, None), ("grad_cam", "sad", "conv4"), ("gradient-x-input", "2", None)],
)
def test_the_map_is_the_methods_own(folder, pixels, reference, name, target, layer):
    found = command.explain(FACES, folder / "face.png", name, target, layer)
    model, x = reference, (pixels / np.float32(255))[None, ..., None]
    assert np.array_equal(found.inputs, x) and found.input_range == (0, 1)
    p = np.asarray(model(x))[0]
    assert np.allclose(found.probabilities, p, atol=1e-6)
    c = {None: p.argmax(), "sad": 4, "2": 2}[target]
    assert found.target == c
    method = xu.METHODS[name.replace("-", "_")]
    theirs = method.function(model, x, c, **({"layer": layer} if layer else {}))
    assert np.array_equal(found.attribution, theirs) and np.abs(theirs).max() > 0
    assert (found.title, found.signed) == (method.title, method.signed)


def test_the_given_range_is_the_models_units_where_no_card_says_them(folder, pixels):
    found = command.explain(folder / "own.keras", folder / "face.png", "occlusion", limits=(-1, 1))
    model = xu.load_model(folder / "own.keras", input_range=(-1, 1))
    x = (pixels / 127.5 - 1).astype(np.float32)[None, ..., None]
    assert np.allclose(found.inputs, x, atol=1e-6)
    # occlusion covers with the middle of the range: the map tells whether the range arrived
    assert np.allclose(found.attribution, xu.occlusion(model, x), atol=1e-4)
    assert found.names[found.target] == f"class {found.target}"


def test_a_range_that_contradicts_the_card_draws_one_warning(folder, capsys):
    assert explain(folder, "--range", "0", "255") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: --image: got values from") and "[0, 1]" in line
    assert line.endswith("Cure: give the right --range.")


# ---- the picture


def test_a_coloured_picture_becomes_grey_for_a_grey_model_and_that_is_said(folder, pixels, capsys):
    colours = np.dstack([pixels, pixels // 2, pixels // 3])
    Image.fromarray(colours).save(folder / "rgb.png")
    found = command.explain(FACES, folder / "rgb.png")
    luma = colours @ [0.299, 0.587, 0.114]  # ITU-R BT.601
    assert np.abs(255 * found.inputs[0, ..., 0] - luma).max() <= 1
    assert explain(folder, image="rgb.png") == 0
    assert "picture:   RGB, 48 x 48 pixels, made grey\n" in capsys.readouterr().out


def test_the_centre_is_cut_out_and_never_stretched():
    wide = np.zeros((30, 70, 3), np.uint8)
    wide[..., 2] = 255
    wide[:, 20:50] = 255, 0, 0
    found, note = command.fitted(Image.fromarray(wide), (None, 30, 30, 3))
    assert (found == [255, 0, 0]).all() and note == "RGB, 70 x 30 pixels, centre cut out and resized to 30 x 30"
    half, _ = command.fitted(Image.fromarray(wide), (None, 15, 15, 3))
    assert half.shape == (15, 15, 3) and (half[:, 2:-2] == [255, 0, 0]).all()
    free, note = command.fitted(Image.fromarray(wide), (None, None, None, 3))
    assert np.array_equal(free, wide) and note == "RGB, 70 x 30 pixels"


def test_a_picture_taken_with_a_turned_camera_is_turned_upright(tmp_path):
    block = np.zeros((16, 8, 3), np.uint8)
    block[:8] = 255
    turned = Image.Exif()
    turned[0x0112] = 6  # shown after a quarter turn clockwise: the top goes to the right
    Image.fromarray(block).save(tmp_path / "turned.png", exif=turned)
    upright = np.asarray(command.read_picture(tmp_path / "turned.png"))
    assert upright.shape == (8, 16, 3) and (upright[:, 8:] == 255).all() and (upright[:, :8] == 0).all()


def test_an_opaque_alpha_channel_does_no_harm(folder, pixels):
    solid = np.full_like(pixels, 255)
    Image.fromarray(np.dstack([pixels] * 3 + [solid])).save(folder / "solid.png")
    inputs = command.explain(FACES, folder / "solid.png").inputs
    assert np.abs(255 * inputs[0, ..., 0] - pixels).max() <= 1


# ---- the figure


def test_the_figure_is_a_png_that_says_what_it_shows(folder, reference, capsys):
    before = set(folder.iterdir())
    assert explain(folder, "--target", "sad") == 0
    assert set(folder.iterdir()) - before == {folder / "why.png"}
    with Image.open(folder / "why.png") as figure:
        assert figure.format == "PNG" and figure.width > 600
        assert figure.text["Description"] == "Grad-CAM of a picture, explained as sad"
        assert len(np.unique(np.asarray(figure.convert("L")))) > 50
    model = reference
    p = np.asarray(model(command.explain(FACES, folder / "face.png").inputs))[0]
    c = int(p.argmax())
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "picture:   L, 48 x 48 pixels",
        f"predicted: {model.class_names[c]} (class {c}), probability {p[c]:.2f}",
        f"explained: sad (class 4), probability {p[4]:.2f}",
        f"figure:    {folder / 'why.png'}",
    ]
    assert err == ""


def test_the_drawn_map_is_the_attribution(folder, monkeypatch):
    drawn = []
    from heatproof.display import plots

    original = plots.plot_attributions
    monkeypatch.setattr(
        plots, "plot_attributions", lambda *given, **options: drawn.append(given) or original(*given, **options)
    )
    found = command.explain(FACES, folder / "face.png", "saliency")
    command.write_figure(found, folder / "why.png")
    ((inputs, maps, (label,)),) = drawn
    assert inputs is found.inputs and maps == {"Saliency": found.attribution}
    assert label.startswith(found.names[found.target])


def test_a_broken_write_leaves_the_old_figure_and_nothing_else(folder, monkeypatch, capsys):
    (folder / "why.png").write_bytes(b"old")
    before = set(folder.iterdir())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert explain(folder) == 2
    assert set(folder.iterdir()) == before and (folder / "why.png").read_bytes() == b"old"
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["explain", "--list-methods"], ["methods"]])
def test_every_method_of_the_catalogue_is_listed_with_its_options(capsys, words):
    assert command.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == [name.replace("_", "-") for name in xu.METHODS]
    told = dict(zip(xu.METHODS, (line.split("options: ")[1].split(", ") for line in lines[1::2]), strict=True))
    assert told["smooth_grad"][:3] == ["samples", "noise", "seed"] and "layer" not in told["grad_cam"]


def test_without_arguments_the_help_shows_an_example_of_each_command(capsys):
    assert command.main([]) == 0
    out = capsys.readouterr().out
    examples = [shlex.split(line) for line in re.findall(r"^  python -m heatproof (.*)$", out, re.MULTILINE)]
    assert {words[0] for words in examples} == set(re.findall(r"^    (\w+) ", out, re.MULTILINE))
    for words in examples:
        assert command.parser().parse_args(words).command == words[0]


def test_the_help_of_explain_shows_what_is_required_and_examples_that_work(folder, capsys, monkeypatch):
    assert command.main(["explain", "--help"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"explain \[-h\] --model FILE --image FILE --out FILE\n", out)
    monkeypatch.chdir(folder)
    (folder / "models").symlink_to(MODELS)
    shutil.copy(folder / "face.png", folder / "me.png")
    examples = [shlex.split(line) for line in re.findall(r"^  python -m heatproof (.*)$", out, re.MULTILINE)]
    assert len(examples) == 3
    for words in examples:
        assert command.main(words) == 0
    assert "explained: happy" in capsys.readouterr().out


# ---- the options of a method


def test_an_option_reaches_the_method(folder, pixels, reference):
    options = ["samples=3", "noise=0.05", "score=probability", "batch-size=2"]
    found = command.explain(FACES, folder / "face.png", "smooth-grad", "sad", options=options)
    x = (pixels / np.float32(255))[None, ..., None]
    assert np.array_equal(
        found.attribution, xu.smooth_grad(reference, x, 4, samples=3, noise=0.05, score="probability", batch_size=2)
    )


def test_a_cure_is_typed_as_it_stands(folder, capsys):
    """The map of occlusion with a patch that is too large: the line names the option as one types it."""
    assert explain(folder, "--method", "occlusion", "--option", "patch=99") == 2
    assert capsys.readouterr().err.startswith("error: --option patch: got 99")
    problem = ArgumentTypeError("score", "'odds'", "a score", "score='logit', or input_range=(0, 1)")
    assert command.one_line(problem) == (
        "--option score: got 'odds'; allowed: a score. Cure: --option score='logit', or --range (0, 1)."
    )


# ---- bad input

BAD = {
    "no model there": ({"model": "none.keras"}, ["--model", "none.keras"]),
    "a damaged model": ({"model": "broken.keras"}, ["--model", "damaged"]),
    "no model at all": ({"model": "text.png"}, ["--model", ".keras"]),
    "a model of signals": ({"model": MODELS / "mnist1d.keras"}, ["--model", "(None, 40, 1)"]),
    "no card, no range": ({"model": "own.keras"}, ["--range", "no card", "--range 0 1"]),
    "no picture there": ({"image": "none.png"}, ["--image", "none.png"]),
    "a folder as picture": ({"image": "inside"}, ["--image", "inside"]),
    "no picture": ({"image": "text.png"}, ["--image", "text.png", "not a readable picture"]),
    "half a picture": ({"image": "cut.png"}, ["--image", "cut.png", "not a readable picture"]),
    "sixteen bits": ({"image": "deep.png"}, ["--image", "8 bits"]),
    "transparent": ({"image": "ghost.png"}, ["--image", "transparent"]),
    "no out folder": ({"out": "none/why.png"}, ["--out", "no folder"]),
    "out is no png": ({"out": "why.jpg"}, ["--out", ".png"]),
    "out is a folder": ({"out": "folder.png"}, ["--out", "a folder"]),
    "out is the picture": ({"out": "face.png"}, ["--out", "the picture itself"]),
    "unknown method": (["--method", "grad-camera"], ["--method", "'grad-camera'", "'grad-cam'"]),
    "unknown layer": (["--layer", "conv9"], ["--layer", "'conv9'", "conv6"]),
    "layer without space": (["--layer", "classes"], ["--layer", "'classes'", "conv6"]),
    "layer for nothing": (["--method", "saliency", "--layer", "conv4"], ["--layer", "saliency"]),
    "target too large": (["--target", "7"], ["--target", "7", "from 0 to 6"]),
    "target negative": (["--target", "-1"], ["--target", "-1", "from 0 to 6"]),
    "target a fraction": (["--target", "1.5"], ["--target", "'1.5'", "angry"]),
    "target unknown": (["--target", "cat"], ["--target", "'cat'", "angry, disgust"]),
    "range reversed": (["--range", "1", "0"], ["--range", "1 0"]),
    "range endless": (["--range", "0", "inf"], ["--range", "inf"]),
    "range of one": (["--range", "1"], ["--range"]),
    "range of words": (["--range", "black", "white"], ["--range", "black"]),
    "option of another method": (["--option", "samples=3"], ["--option", "samples=3", "score, activation"]),
    "option without a value": (["--option", "score"], ["--option", "'score'", "NAME=VALUE"]),
    "option twice": (["--option", "score=logit", "--option", "score=value"], ["--option", "score twice"]),
    "option with a wrong value": (["--option", "score=odds"], ["--option score", "'odds'", "'probability'"]),
    "unknown option": (["--colour", "red"], ["--colour"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(folder, capsys, case):
    given, words = BAD[case]
    (folder / "folder.png").mkdir()
    options = given if isinstance(given, list) else []
    files = {} if isinstance(given, list) else dict(given)
    if "model" in files:
        files["model"] = folder / files["model"]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert explain(folder, *options, **files) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and len(err.splitlines()) == 1
    assert all(word in err for word in words), err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "--model", "m.keras"], ["predict"]])
def test_an_incomplete_command_is_one_line(capsys, arguments):
    assert command.main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_model_that_the_method_cannot_explain(folder, capsys):
    """CAM without global average pooling: the method's own refusal arrives as one line."""
    flat = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    flat.save(folder / "flat.keras")
    assert explain(folder, "--method", "cam", "--range", "0", "1", model=folder / "flat.keras") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --model: got a head that ends in ['flatten") and line.count("Cure: ") == 1
    assert line.endswith("Cure: --method grad-cam, which needs no special head.")
    assert not (folder / "why.png").exists()


def test_a_warning_of_the_model_has_the_words_of_the_command_line(folder, capsys):
    steps = [keras.layers.Conv2D(2, 3, activation=name) for name in ("tanh", "relu")]
    last = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    keras.Sequential([keras.Input((8, 8, 1)), *steps, *last]).save(folder / "mixed.keras")
    assert explain(folder, "--method", "guided-backprop", "--range", "0", "1", model=folder / "mixed.keras") == 0
    told = capsys.readouterr().err.splitlines()
    assert "warning: --model: got one in which the guided rule changes 1 ReLUs but not ['Tanh']." in told


@pytest.mark.parametrize(
    "problem, line",
    [
        (OSError("no space left\n on the disk"), "no space left on the disk"),
        (ArgumentTypeError("targets", "1.5", "an integer"), "--target: got 1.5; allowed: an integer."),
    ],
)
def test_a_problem_is_one_line_in_the_words_of_the_command_line(problem, line):
    assert command.one_line(problem) == line


# ---- in a process of its own


def shell(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "heatproof", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def test_a_process_of_its_own_draws_and_says_nothing_but_its_lines(folder):
    done = shell("explain", "--model", "models/faces.keras", "--image", folder / "face.png", "--out", folder / "a.png")
    assert (done.returncode, done.stderr) == (0, "") and len(done.stdout.splitlines()) == 4
    assert explain(folder, out="b.png") == 0
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_a_process_of_its_own_refuses_with_exit_code_two(folder):
    done = shell("explain", "--model", "none.keras", "--image", folder / "face.png", "--out", folder / "none" / "a.png")
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "--out" in done.stderr


def test_a_cure_becomes_an_option_for_its_own_argument_and_for_those_of_the_command_alone():
    typed = as_typed("samples=3, layer=conv1 or noise=0.1", "samples")
    assert typed == "--option samples=3, --layer conv1 or noise=0.1"
