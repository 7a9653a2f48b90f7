"""What every refusal keeps to: a clear message that starts with the argument's name, and nothing done."""

import contextlib
import os
import re
import tempfile
from unittest import mock

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers

from heatproof.problems import ArgumentFileError, ArgumentTypeError, ArgumentValueError, sentence


class Counter(layers.Layer):
    """Passes its input on and counts how often it is computed, in eager and in graph mode."""

    runs = 0

    def count(self):
        Counter.runs += 1

    def call(self, inputs):
        with tf.control_dependencies([tf.py_function(self.count, [], [])]):
            return tf.identity(inputs)


def fingerprint(given):
    """What changes when a model, an array, a table or a container of them does."""
    if isinstance(given, keras.Model):
        state = [
            (id(layer), getattr(layer, "activation", None), sorted(vars(layer))) for layer in given._flatten_layers()
        ]
        return state, given.compiled, [weight.numpy().tobytes() for weight in given.weights]
    if isinstance(given, np.ndarray) and given.dtype != object:
        return type(given), given.dtype, given.shape, given.tobytes()
    if isinstance(given, pd.DataFrame):
        return given.to_csv()
    if isinstance(given, dict):
        return [(key, fingerprint(value)) for key, value in given.items()]
    if isinstance(given, (list, tuple)):
        return type(given), [fingerprint(each) for each in given]
    return repr(given)


def told_in_fields(error, start):
    """The problem names the argument with which `start` begins, and its message is made of its fields alone."""
    assert type(error) in (ArgumentTypeError, ArgumentValueError, ArgumentFileError), error
    assert error.argument.partition("[")[0] == re.match(r"\w+", start).group()
    assert str(error) == sentence(error.argument, error.given, error.allowed, error.cure)
    assert error.given and (error.allowed or error.cure), "it says what was given, and what to do about it"


def refused(exception, words, function, /, *arguments, **options):
    """`function(*arguments, **options)` raises `exception`, and its message holds all `words`, the first at its start.

    The first word is the argument's name (or its beginning and more), and the problem carries it as a field.
    No network was run before that; the arguments, models among them, are as they were; no file was written.
    """
    runs, before = Counter.runs, fingerprint((arguments, options))
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.chdir(folder), mock.patch.object(tempfile, "tempdir", folder):
            with pytest.raises(exception) as caught:
                function(*arguments, **options)
        assert os.listdir(folder) == []
    message = str(caught.value)
    assert message.startswith(words[0]), message
    told_in_fields(caught.value, words[0])
    assert [word for word in words if word not in message] == [], message
    assert Counter.runs == runs, "the network was run before the argument was refused"
    assert fingerprint((arguments, options)) == before
