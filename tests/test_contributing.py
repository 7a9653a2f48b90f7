"""CONTRIBUTING.md is true: its recipes are followed in a copy of the repository, its tables and names are compared."""

import re
from pathlib import Path

import newcomer
import pytest
import walking
from test_project import PACKAGE, WINGS

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))
LINES = 10


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]


def rows(text):
    """The cells of every row of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


def steps(recipe, name):
    """[(file, test or "")] of a recipe, with the toy's name in place of NAME."""
    whole = [(quoted(file)[0], *quoted(speaks)) for file, _, speaks in rows(RECIPES[recipe].replace("NAME", name))]
    return [(file, f"tests/{test[0]}" if test else "") for file, *test in whole]


# ---- the page


def test_the_wings_are_those_of_the_law():
    house = {quoted(wing)[0]: set(quoted(below)) for wing, _, below in rows(section("The house"))}
    assert house == {wing: below for wing, (below, _) in WINGS.items()}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(house) - {"ground"}


def test_every_recipe_is_short_and_has_a_toy():
    assert set(RECIPES) == set(newcomer.RECIPES)
    for recipe, text in RECIPES.items():
        assert len([line for line in text.splitlines() if line.strip()]) <= LINES, recipe


def test_every_file_and_test_that_the_page_names_exists():
    names = {word for word in quoted(TEXT) + re.findall(r"(?:tests|tools)/[\w/.]+", TEXT) if "NAME" not in word}
    files = {name for name in names if re.fullmatch(r"[\w/]+\.(py|md|bib|ipynb)|[\w/]+/", name)}
    assert len(files) > 30 and not {name for name in files if not (ROOT / name).exists()}
    tests = [name.split("::") for name in names if "::" in name]
    assert len(tests) > 12
    for file, test in tests:
        assert re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE), test
    targets = re.search(r"^TARGETS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    made = set(re.findall(r"(?:`|^    )make (\w+)", TEXT, re.MULTILINE))
    assert len(made) > 4 and made <= set(targets)


def test_ten_questions_have_one_room_that_holds_what_is_asked():
    questions = rows(section("Ten questions"))
    assert len({question for question, _, _ in questions}) == len(questions) == 10
    for question, room, there in questions:
        word = quoted(there)[0]
        defined = re.compile(rf"^(?:def|class) {word}\b|^    {word}: ", re.MULTILINE)
        found = [path for path in PACKAGE.rglob("*.py") if defined.search(path.read_text(encoding="utf-8"))]
        assert question.endswith("?") and found == [ROOT / quoted(room)[0]], question


# ---- the recipes


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return walking.copy_to(tmp_path_factory.mktemp("house") / "copy")


def fault(root, step, earlier):
    """What a file holds when its step was done wrong or was left out; None where it is not there then."""
    if step.spoil is None:
        return earlier.get(step.file)
    path = root / step.file
    right = path.read_bytes()
    step.spoil(path)
    wrong = path.read_bytes()
    path.write_bytes(right)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("recipe", newcomer.RECIPES)
def test_whoever_follows_a_recipe_is_done_and_whoever_skips_a_step_is_told(recipe, copy):
    name, toy = newcomer.RECIPES[recipe].name, newcomer.RECIPES[recipe].steps
    told = steps(recipe, name)
    assert [file for file, _ in told] == [step.file for step in toy]
    earlier = {step.file: (copy / step.file).read_bytes() for step in toy if (copy / step.file).is_file()}
    for step in toy:
        step.write(copy / step.file)
    walking.ask(copy, newcomer.RECIPES[recipe].use)
    tests = {test for _, test in told if test}
    faults = [(file, fault(copy, step, earlier), test) for step, (file, test) in zip(toy, told, strict=True) if test]
    (passed, _, said), heard = walking.ask(copy, walking.run, sorted(tests), faults, name)
    assert passed == tests, said
    for (file, _, test), (_, failed, said) in zip(faults, heard, strict=True):
        spoke = {test, test.partition("::")[0]} & failed
        assert spoke, f"{test} says nothing when {file} is missing or wrong:\n{said}"
