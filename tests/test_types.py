"""Every public name says what it takes and gives: parameters and answers are annotated, and the words resolve."""

import inspect
import typing

import pytest

import mnist1d_utils as m1
import xai_utils as xu

PUBLIC = {
    f"{face.__name__}.{name}": getattr(face, name)
    for face in (xu, m1)
    for name in face.__all__
    if callable(getattr(face, name)) and not inspect.isclass(getattr(face, name))
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_function_is_fully_annotated(name):
    function = inspect.unwrap(PUBLIC[name])
    signature, hints = inspect.signature(function), typing.get_type_hints(function)
    assert not [each for each in signature.parameters if each not in hints]
    assert "return" in hints
