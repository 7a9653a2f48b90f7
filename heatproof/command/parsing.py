"""The commands, their options and an example of each; the list of the methods."""

import argparse
import inspect
import sys
from pathlib import Path

CALLED = "heatproof" if Path(sys.argv[0]).stem == "heatproof" else "python -m heatproof"
EXAMPLES = {
    "explain": f"  {CALLED} explain --model models/faces.keras --image me.png --out why.png",
    "methods": f"  {CALLED} methods",
}
MORE = "".join(
    f"\n{EXAMPLES['explain']} {rest}"
    for rest in ("--method integrated-gradients --option steps=64", "--method lime --option segments=60 --target happy")
)


def options_of(function):
    """The names of what a method can be told beside the arguments that have an option of their own."""
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.name != "layer"]


class Parser(argparse.ArgumentParser):
    """Reports a bad argument like any other bad input: one line, no usage text."""

    def error(self, message):
        raise ValueError(message)


class ListMethods(argparse.Action):
    """--list-methods stands alone, as --help does: it prints the methods and ends."""

    def __call__(self, parser, namespace, values, option_string=None):
        list_methods()
        parser.exit()


def parser():
    shape = argparse.RawDescriptionHelpFormatter
    examples = "an example of each command:\n" + "\n".join(EXAMPLES.values())
    about = "Explain what a Keras classifier sees."
    top = Parser(prog=CALLED, description=about, epilog=examples, formatter_class=shape)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    one = commands.add_parser(
        "explain", help="draw one picture beside its attribution map", formatter_class=shape,
        epilog="examples:\n" + EXAMPLES["explain"] + MORE,
    )  # fmt: skip
    add = one.add_argument_group("required").add_argument
    add("--model", required=True, metavar="FILE", help="the network, .keras or .h5")
    add("--image", required=True, metavar="FILE", help="the picture, any size; its centre is resized to the network")
    add("--out", required=True, metavar="FILE", help="where the figure goes, .png")
    add = one.add_argument
    add("--method", default="grad-cam", metavar="NAME", help="see --list-methods (default: grad-cam)")
    text = "of the method, such as steps=64; may be given several times"
    add("--option", action="append", default=[], dest="options", metavar="NAME=VALUE", help=text)
    add("--target", metavar="CLASS", help="the class to explain, index or name (default: the predicted one)")
    add("--layer", metavar="NAME", help="for methods that read a layer (default: the last one with positions)")
    text = "the network's values of black and white, such as 0 1, -1 1 or 0 255 (default: from its card)"
    add("--range", nargs=2, type=float, dest="limits", metavar=("BLACK", "WHITE"), help=text)
    add("--in-words", action="store_true", help="write a sentence, and draw a map for each of its words")
    add("--list-methods", action=ListMethods, nargs=0, help="print the methods with their options and stop")
    commands.add_parser("methods", help="print the methods with their options")
    return top


def list_methods():
    from heatproof.methods import catalogue

    for row in catalogue.METHODS.values():
        needs = f"  (needs {row.needs})" if row.needs else ""
        print(f"{row.name.replace('_', '-'):24s} {row.formula}{needs}")
        print(f"{'':24s} options: {', '.join(options_of(row.function))}")
