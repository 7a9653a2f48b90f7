"""Explain one picture without a notebook: python -m heatproof explain --model M --image I --method grad-cam --out O.png

Thin on purpose: it reads the picture and brings it to the model's size and units; the checks, the maps and the drawing
are those that notebooks use. A bad argument gives one line on stderr, the exit code 2 and no file.
"""

import ast
import functools
import inspect
import io
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from heatproof import checks
from heatproof.command.parsing import list_methods, options_of, parser
from heatproof.command.words import OPTIONS, one_line
from heatproof.problems import ArgumentFileError, ArgumentValueError, XAIWarning
from heatproof.writing import write


class Explanation(NamedTuple):
    """What was explained, and the answer: `attribution` is what the method itself returns for `inputs`."""

    inputs: np.ndarray  # (1, H, W, C), in the model's units
    attribution: np.ndarray
    probabilities: np.ndarray  # of all classes
    target: int
    names: tuple  # of all classes
    input_range: tuple
    title: str  # of the method
    signed: bool
    note: str  # how the picture was brought to the model's size
    words: Any = None  # what `explain_in_words` gives; then `attribution` has a map for each word
    strangeness: float | None = None  # how far it lies from the network's own pictures; None: the card is silent


def explain(model, image, method="grad-cam", target=None, layer=None, limits=None, options=(), in_words=False):
    """Explain the picture in the file `image` by the network in the file `model`, with `in_words` by a sentence too.

    `limits` are the values of black and white in the model's units; without them the card's `input_range` counts.
    `target` is a class by index or name, `options` of the method are texts NAME=VALUE. Raises `OSError`, `TypeError`,
    `ValueError` for what cannot be explained.
    """
    picture = read_picture(image)
    from heatproof.engine import query, views  # TensorFlow takes seconds: after the cheap checks
    from heatproof.engine.readings import PROBABILITY
    from heatproof.methods import catalogue
    from heatproof.networks import cards
    from heatproof.networks.familiar import strangeness

    known = [name.replace("_", "-") for name in catalogue.METHODS]
    row = catalogue.METHODS[checks.one_of("method", method.replace("_", "-"), known).replace("-", "_")]
    options = as_options(options, row)
    if layer is not None:
        if "layer" not in inspect.signature(row.function).parameters:
            raise ArgumentValueError("layer", f"{layer!r} for {method}, which uses no layer", cure="leave it out")
        options["layer"] = layer
    network = cards.load_model(model)
    limits = as_limits(limits or network.input_range)
    network.input_range = network.input_range or limits
    names = network.class_names or ()
    pixels, note = fitted(picture, views.recipe_of(network).shape)
    inputs = limits[0] + (limits[1] - limits[0]) * (pixels[None] / np.float32(255))
    target = as_target(target, names)
    told = by_words(model, network, inputs, target, functools.partial(row.function, **options)) if in_words else None
    attribution = told.maps[0] if told else row.function(network, inputs, target, **options)
    probabilities = query.Query(network, inputs, score=PROBABILITY).all_scores()[0]
    target = int(probabilities.argmax()) if target is None else target
    names = names or tuple(f"class {number}" for number in range(len(probabilities)))
    far = float(strangeness(network, inputs)[0]) if network.familiar else None
    return Explanation(
        inputs, attribution, probabilities, target, names, limits, row.title, row.signed, note, told, far
    )


def by_words(model, network, inputs, target, method):
    """The sentence of the captioner that lies beside the file `model`, in captioners/NAME_explanation.keras."""
    from heatproof.methods import words
    from heatproof.networks import captioner_files

    beside = Path(model).parent / "captioners" / f"{Path(model).stem}_explanation.keras"
    if not beside.is_file():
        given = f"{model}, beside which there is no captioner {beside}"
        cure = "explain models/captioned_faces.keras, or leave --in-words out"
        raise ArgumentValueError("model", given, "a network that has a captioner", cure)
    return words.explain_in_words(network, captioner_files.load_captioner(beside), inputs, target, method=method)


def read_picture(path):
    """Open a picture of 8 bits a channel and turn it upright; refuse what would lose its values on the way."""
    if not Path(path).is_file():
        raise ArgumentFileError("image", f"{path}, where no file is", "a picture")
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ArgumentValueError("image", f"{path}, which is not a readable picture ({error})", "a picture") from error
    if picture.mode.startswith(("I", "F")):
        given = f"{path}, which has more than 8 bits a channel"
        raise ArgumentValueError("image", given, cure="save it with 8, as PNG or JPEG")
    if picture.has_transparency_data and np.min(picture.convert("RGBA").getchannel("A").getextrema()) < 255:
        given = f"{path}, which is transparent in places"
        raise ArgumentValueError("image", given, cure="save it on a plain background")
    return picture


def fitted(picture, shape):
    """Return the picture's centre as uint8 (H, W, C) of the model's input `shape`, and what was done to it."""
    if len(shape) != 4 or shape[-1] not in (1, 3):
        given = f"one that takes inputs of shape {shape}"
        raise ArgumentValueError("model", given, "one for grey or RGB pictures, (N, H, W, 1 or 3)")
    size = shape[2] or picture.width, shape[1] or picture.height
    mode = "L" if shape[-1] == 1 else "RGB"
    note = f"{picture.mode}, {picture.width} x {picture.height} pixels"
    if picture.mode != mode:
        note += ", made grey" if mode == "L" else ", made RGB"
    if picture.size != size:
        note += f", centre cut out and resized to {size[0]} x {size[1]}"
    pixels = np.asarray(ImageOps.fit(picture.convert(mode), size, Image.Resampling.BICUBIC))
    return pixels.reshape(size[1], size[0], -1), note


def as_limits(limits):
    """Return the values of black and white, refused unless there are two, finite and in order."""
    if limits is None:
        given = "none, and the model has no card that says its units"
        raise ArgumentValueError("limits", given, cure="give its values of black and white, such as --range 0 1")
    if not (np.isfinite(limits).all() and limits[0] < limits[1]):
        given = f"{limits[0]:g} {limits[1]:g}"
        raise ArgumentValueError("limits", given, "two finite numbers, the smaller one first")
    return tuple(map(float, limits))


def as_target(target, names):
    """Return the class index that `target` stands for: an index, or one of `names`."""
    if target is None or target in names:
        return None if target is None else names.index(target)
    try:
        return int(target)
    except ValueError:
        words = f", or one of: {', '.join(names)}" if names else ""
        raise ArgumentValueError("target", f"{target!r}", f"a class index{words}") from None


def as_options(texts, row):
    """Return {name: value} of texts NAME=VALUE: a Python literal where it is one, otherwise the text itself."""
    options, known = {}, options_of(row.function)
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or name not in known:
            raise ArgumentValueError("option", repr(text), f"NAME=VALUE, where NAME is one of {', '.join(known)}")
        if name in options:
            raise ArgumentValueError("option", f"{name} twice", cure="give it once")
        try:
            options[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            options[name] = value
    return options


def check_out(out, image):
    """Refuse a place for the figure that cannot be written, before anything is computed."""
    if Path(out).suffix.lower() != ".png":
        raise ArgumentValueError("out", out, "a name that ends in .png, because the figure is a PNG file")
    if not Path(out).absolute().parent.is_dir():
        raise ArgumentFileError("out", f"{out}, but there is no folder {Path(out).parent}", cure="make it first")
    if Path(out).is_dir() or Path(out).resolve() == Path(image).resolve():
        given = f"{out}, which is {'a folder' if Path(out).is_dir() else 'the picture itself'}"
        raise ArgumentValueError("out", given, cure="name another file")


def write_figure(found, out):
    """Draw the picture beside its map and write the PNG at once, so that `out` is complete or untouched."""
    from heatproof.display import plots, style

    label = f"{found.names[found.target]}\np = {found.probabilities[found.target]:.2f}"
    maps, scaling = {found.title: found.attribution}, {"input_range": found.input_range, "signed": found.signed}
    if found.words:
        named = [f"{place}. {word}" for place, word in enumerate(found.words.words[0], 1)]
        maps = {name: found.attribution[[place]] for place, name in enumerate(named)}
        scaling["columns"] = 6
    style.use_style()
    figure = plots.plot_attributions(found.inputs, maps, [label], width=5, **scaling)
    content, text = io.BytesIO(), f"{found.title} of a picture, explained as {found.names[found.target]}"
    figure.savefig(content, format="png", dpi=150, metadata={"Description": text, "Software": None})
    plots.plt.close(figure)
    write(out, content.getvalue(), argument=OPTIONS["out"])


def run(options):
    """Carry out parsed options; print what the network said and where the figure is."""
    if options.command is None:
        return parser().print_help()
    if options.command == "methods":
        return list_methods()
    check_out(options.out, options.image)
    names = ("model", "image", "method", "target", "layer", "limits", "options", "in_words")
    found = explain(**{name: getattr(options, name) for name in names})
    write_figure(found, options.out)
    predicted = int(found.probabilities.argmax())
    print(f"picture:   {found.note}")
    for word, number in (("predicted", predicted), ("explained", found.target)):
        print(f"{word}: {found.names[number]} (class {number}), probability {found.probabilities[number]:.2f}")
    if found.strangeness and found.strangeness > 1:
        print(
            f"unlike:    {found.strangeness:.1f} times as far from the network's own pictures as most of these lie; "
            "what it says of this one means little"
        )
    if found.words:
        print(f"in words:  {found.words.sentences[0]} (log p {found.words.log_probabilities[0]:.1f})")
    print(f"figure:    {options.out}")


def main(argv=None):
    """Run the command line; return 0, or after one line on stderr 2 for bad input and 130 for Ctrl-C."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", XAIWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {one_line(message)}", file=sys.stderr)
        try:
            run(parser().parse_args(argv))
        except SystemExit as done:  # --help, --list-methods
            return done.code
        except (OSError, TypeError, ValueError) as error:
            print(f"error: {one_line(error)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted: nothing was written", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
