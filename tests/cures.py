"""A cure taken literally: the code in a refusal's message is run on the model and the inputs that drew it."""

import ast
import re

import keras
import numpy as np
import tensorflow as tf

import xai_utils as xu

SPACE = {"keras": keras, "np": np, "numpy": np, "tf": tf, "tensorflow": tf, "xu": xu, "xai_utils": xu, "k": 0}


def code_in(message, known):
    """The first piece behind "Cure:" (the longest from where it begins) that is Python in names that are `known`."""
    text = re.split(r"[Cc]ure: ?", message)[-1]
    for start in (found.start() for found in re.finditer(r"\b[A-Za-z_]", text)):
        for end in range(len(text), start, -1):
            piece = text[start:end].rstrip(" .,;:")
            try:
                tree = ast.parse(piece)
            except SyntaxError:
                continue
            names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
            given = {*known, *(name.id for name in names if isinstance(name.ctx, ast.Store)), "None", "len"}
            works = any(isinstance(node, (ast.Call, ast.Subscript)) or _sets(node) for node in ast.walk(tree))
            prose = any(isinstance(part, ast.Expr) and isinstance(part.value, ast.Tuple) for part in tree.body)
            if works and not prose and all(name.id in given for name in names):
                return piece
    return None


def _sets(node):
    """Whether a line sets an attribute, as of a model."""
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)


def applied(message, **names):
    """`names` after the code of the message was run: a model or an array that it gives takes the old one's place."""
    space = {**SPACE, **names}
    code = code_in(message, space)
    assert code, f"no cure that can be taken literally: {message}"
    *before, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        exec(code, space)
        return {name: space[name] for name in names}
    exec(compile(ast.Module(before, []), "cure", "exec"), space)
    value = eval(compile(ast.Expression(last.value), "cure", "eval"), space)
    if isinstance(value, keras.Model):
        space["model"] = value
    elif isinstance(value, (np.ndarray, tf.Tensor)) and not code.startswith("model("):
        space["inputs"] = value
    return {name: space[name] for name in names}


def answered(call, model, inputs, **names):
    """What call(model, inputs) gives at last, and for which model and inputs: each cure is taken literally."""
    names = {"model": model, "inputs": inputs, **names}
    for _ in range(3):
        try:
            return call(names["model"], names["inputs"]), names["model"], names["inputs"]
        except (ValueError, TypeError) as error:
            names = applied(str(error), **names)
    return call(names["model"], names["inputs"]), names["model"], names["inputs"]
