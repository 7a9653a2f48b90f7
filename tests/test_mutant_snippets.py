"""Every mutant can still be applied: its snippet occurs once, and replacing it changes a function. No TensorFlow."""

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from mutant_groups import GROUPS, ROOMS, modules
from mutant_groups.mutant import Mutant
from mutant_snippets import changes, complaint, source_of, unknown_names

MUTANTS = [(name, mutant) for name, group in GROUPS.items() for mutant in group.mutants]
HALVING = "def half(x):\n    return x / 2\n"


@pytest.fixture
def small_root(tmp_path, monkeypatch):
    """A package of two modules, one in a folder, and a face beside it."""
    monkeypatch.setattr("mutant_snippets.PACKAGE", "toy")
    (tmp_path / "toy" / "wing").mkdir(parents=True)
    (tmp_path / "toy" / "room.py").write_text(HALVING + HALVING.replace("half", "same") + "NAME = 'room'\n")
    (tmp_path / "toy" / "wing" / "moved.py").write_text(HALVING)
    (tmp_path / "toy_face.py").write_text("def twice(x):\n    return 2 * x\n")
    return tmp_path


def test_every_snippet_occurs_once_in_its_module():
    complaints = dict.fromkeys(f"{name}: {said}" for name, mutant in MUTANTS if (said := complaint(mutant)))
    if complaints:
        pytest.fail("\n".join([f"{len(complaints)} snippets:", *complaints]), pytrace=False)


def test_every_mutant_changes_a_function():
    for _, mutant in MUTANTS:
        if not complaint(mutant):  # those are the other test's
            assert changes(mutant), mutant


def test_no_mutant_names_what_its_module_does_not_have():
    """Whatever runs the line would notice such a one, and it would say nothing of the tests."""
    found = {(name, mutant.new): unknown_names(mutant) for name, mutant in MUTANTS if not complaint(mutant)}
    assert not {mutant: names for mutant, names in found.items() if names}


def test_a_name_that_is_not_there_is_found(small_root):
    assert unknown_names(Mutant("toy.wing.moved", "x / 2", "x / quarter(sum(NAME))"), small_root) == {"quarter", "NAME"}
    assert unknown_names(Mutant("toy.wing.moved", "x / 2", "half(abs(x))"), small_root) == set()


def test_every_group_has_a_name_and_a_test_file_of_its_own_to_run():
    assert sum(len(room.GROUPS) for room in ROOMS) == len(GROUPS), "two rooms hold a group of the same name"
    for name, group in GROUPS.items():
        assert (Path(__file__).parent / group.tests).is_file(), f"{name}: {group.tests}"
        assert len(set(group.mutants)) == len(group.mutants), f"{name}: a mutant twice"


@pytest.mark.parametrize(
    "module, snippet, said",
    [
        ("toy.wing.moved", "return x / 2", ""),
        ("toy.room", "return x / 2", "occurs 2 times, must be once; it occurs once in: toy.wing.moved"),
        ("toy.wing.moved", "return 2 * x", "occurs 0 times, must be once; it occurs once in: toy_face"),
        ("toy.gone", "(x):", "there is no such module; it occurs once in: toy.wing.moved, toy_face"),
        ("toy.room", "return 3", "occurs 0 times, must be once; it occurs once in: no module"),
    ],
)
def test_a_snippet_that_has_moved_is_found(small_root, module, snippet, said):
    whole = f"{module}: {snippet!r}: {said}" if said else ""
    assert complaint(Mutant(module, snippet, "pass"), small_root) == whole


def test_the_changed_functions_are_those_in_which_the_snippet_stands(small_root):
    found = changes(Mutant("toy.wing.moved", "x / 2", "x / 4"), small_root)
    assert list(found) == [("half",)]
    assert [types.FunctionType(code, {})(8) for code in found["half",]] == [4, 2]


@pytest.mark.parametrize(
    "snippet, new, said",
    [
        ("x / 2", "x", "occurs 2 times"),
        ("'room'", "'hall'", "changes no function"),
        ("def same", "def other", "removes"),
    ],
)
def test_a_mutant_that_cannot_be_applied_is_refused(small_root, snippet, new, said):
    with pytest.raises(LookupError, match=said):
        changes(Mutant("toy.room", snippet, new), small_root)


def test_the_room_that_keeps_traced_programs_is_named_rightly():
    """The runner forgets them around every mutant."""
    assert re.search(r"^_PROGRAMS\b", source_of(modules.PROGRAMS), re.MULTILINE)


def test_the_check_imports_neither_tensorflow_nor_the_package():
    script = "import sys, test_mutant_snippets, mutants; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert not {"tensorflow", "keras", modules.PACKAGE} & set(shown.stdout.split())
