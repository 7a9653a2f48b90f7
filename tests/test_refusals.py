"""The one grammar of refusals: a sentence made of fields, an error that everyone expects, whole after a journey."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest

import mnist1d_utils as m1
import xai_utils as xu
from heatproof import batches, checks, problems

KINDS = {
    problems.ArgumentValueError: ValueError,
    problems.ArgumentTypeError: TypeError,
    problems.ArgumentFileError: FileNotFoundError,
    problems.ArgumentWarning: xu.XAIWarning,
}


@pytest.mark.parametrize(
    "given, allowed, cure, text",
    [
        ("3", "1 or 2", "2", "size: got 3; allowed: 1 or 2. Cure: 2."),
        ("3", "1 or 2", "", "size: got 3; allowed: 1 or 2."),
        ("3", "", "pass 2", "size: got 3. Cure: pass 2."),
        ("", "1 or 2", "", "size: allowed: 1 or 2."),
    ],
)
def test_a_sentence_leaves_out_what_is_empty(given, allowed, cure, text):
    assert problems.sentence("size", given, allowed, cure) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("journey", [copy.copy, copy.deepcopy, lambda problem: pickle.loads(pickle.dumps(problem))])
def test_a_problem_is_what_anyone_expects_and_comes_back_whole(kind, journey):
    problem = kind("maps['a']", "shape (3,)", "(2, 3)", "maps['a'][None]")
    problem.add_note("seen in a worker")
    found = journey(problem)
    assert type(found) is kind and isinstance(found, KINDS[kind])
    assert (found.argument, found.given, found.allowed) == ("maps['a']", "shape (3,)", "(2, 3)")
    assert found.cure == "maps['a'][None]" and found.__notes__ == ["seen in a worker"]
    assert str(found) == str(problem) == "maps['a']: got shape (3,); allowed: (2, 3). Cure: maps['a'][None]."


def test_a_problem_comes_back_whole_from_another_process():
    with pytest.raises(problems.ArgumentTypeError) as caught:
        joblib.Parallel(n_jobs=2)(joblib.delayed(checks.as_flag)("relu", each) for each in (True, 3))
    assert (caught.value.argument, caught.value.given, caught.value.allowed) == ("relu", "3", "True or False")


@pytest.mark.parametrize(
    "call, kind, argument, given, allowed",
    [
        (lambda: checks.as_count("n", 9, 1, 8), ValueError, "n", "9", "an integer of at least 1 and at most 8"),
        (lambda: checks.as_count("n", 2.5), TypeError, "n", "2.5", "an integer of at least 1"),
        (lambda: checks.as_number("p", 2), None, "", "", ""),
        (lambda: checks.as_number("p", "2"), TypeError, "p", "'2'", "a finite number"),
        (lambda: checks.as_number("p", 2, 0, 1), ValueError, "p", "2", "a finite number from 0 to 1"),
        (
            lambda: checks.as_number("p", 1, 0, 1, open_ends=True),
            ValueError,
            "p",
            "1",
            "a finite number strictly between 0 and 1",
        ),
        (lambda: checks.as_number("p", 1, 0, 1, open_ends="low"), None, "", "", ""),
        (
            lambda: checks.as_number("p", 0, 0, 1, open_ends="low"),
            ValueError,
            "p",
            "0",
            "a finite number above 0 and at most 1",
        ),
        (lambda: checks.as_number("p", 0, 0, 1, open_ends="high"), None, "", "", ""),
        (
            lambda: checks.as_number("p", 1, 0, 1, open_ends="high"),
            ValueError,
            "p",
            "1",
            "a finite number from 0 to below 1",
        ),
        (lambda: checks.one_of("signed", 1, (None, True, False)), ValueError, "signed", "1", "None, True, False"),
        (lambda: checks.one_of("signed", np.True_, (None, True, False)), None, "", "", ""),
        (lambda: m1.split({}, "all"), ValueError, "part", "'all'", "'train', 'validation', 'test'"),
        (lambda: m1.load_pickle(None), TypeError, "path", "None", "the name of a file"),
    ],
)
def test_a_check_tells_its_fields(call, kind, argument, given, allowed):
    if kind is None:
        call()
        return
    with pytest.raises(kind) as caught:
        call()
    assert (caught.value.argument, caught.value.given, caught.value.allowed) == (argument, given, allowed)


def test_a_warning_of_an_argument_tells_its_fields():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batches.as_inputs(np.full((1, 2, 1), 255.0), (None, 2, 1), (0, 1))
    (told,) = (each.message for each in caught)
    assert type(told) is problems.ArgumentWarning and told.argument == "inputs" and told.cure == batches.RESCALE


def test_what_is_wrong_in_a_file_is_told_of_its_path(tmp_path):
    (tmp_path / "card.json").write_text('{"name": "n"}')
    with pytest.raises(problems.ArgumentValueError) as caught:
        xu.read_card(tmp_path / "card.json")
    assert caught.value.argument == "path" and "card.json with card: missing keys ['data'" in caught.value.given
    assert caught.value.cure == "'make models' writes it again"
