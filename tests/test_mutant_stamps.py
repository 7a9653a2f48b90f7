"""A group of mutants is stale if, and only if, what decides its outcome has changed since its stamp. No TensorFlow."""

import json

import mutant_stamps
import mutants
import pytest
from mutant_groups.mutant import group
from mutant_stamps import digest, files_of, read, stale, write

TOYS = {
    "first": group("test_first.py", "halves", ("toy.one", "/ 2", "/ 3"), ("toy.two", "+ 1", "- 1")),
    "second": group("test_second.py", "", ("toy.two", "+ 1", "+ 2")),
    "third": group("test_third.py", "", ("toy.wing.three", "* 2", "* 3")),
}
FILES = {
    "toy/one.py": "from toy import below\n",
    "toy/two.py": "y = x + 1\n",
    "toy/below.py": "",
    "toy/wing/three.py": "y = x * 2\n",
    "tests/conftest.py": "",
    "tests/test_first.py": "import helper\n",
    "tests/test_second.py": "from test_first import halves\nfrom toy import one\n",
    "tests/test_third.py": "import os\n",
    "tests/helper.py": "def build():\n    import deeper\n",
    "tests/deeper.py": "import helper\n",
    "tests/mutants.py": "",
}


@pytest.fixture
def small_root(tmp_path):
    """A tree of four modules and three test files, every group of which has its stamp."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    write(digests(tmp_path), tmp_path)
    return tmp_path


def digests(root, **changed):
    return {name: digest(each, root) for name, each in (TOYS | changed).items()}


def test_an_unchanged_tree_has_no_stale_group(small_root):
    assert stale(digests(small_root), small_root) == []


@pytest.mark.parametrize(
    "file, groups",
    [
        ("toy/one.py", ["first"]),  # test_second imports it, but does not mutate it
        ("toy/two.py", ["first", "second"]),
        ("toy/wing/three.py", ["third"]),
        ("toy/below.py", []),
        ("tests/test_first.py", ["first", "second"]),
        ("tests/test_second.py", ["second"]),
        ("tests/helper.py", ["first", "second"]),
        ("tests/deeper.py", ["first", "second"]),
        ("tests/conftest.py", ["first", "second", "third"]),
        ("tests/mutants.py", []),
    ],
)
@pytest.mark.parametrize("change", ["edited", "removed"])
def test_a_changed_file_makes_exactly_its_groups_stale(small_root, file, groups, change):
    path = small_root / file
    path.write_text(FILES[file] + "# edited\n") if change == "edited" else path.unlink()
    assert stale(digests(small_root), small_root) == groups


def test_line_ends_make_no_group_stale(small_root):
    for name, text in FILES.items():
        (small_root / name).write_bytes(text.replace("\n", "\r\n").encode())
    path = small_root / mutant_stamps.FILE
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert stale(digests(small_root), small_root) == []


@pytest.mark.parametrize(
    "other",
    [
        group("test_second.py", "slow", ("toy.two", "+ 1", "+ 2")),
        group("test_second.py", "", ("toy.two", "+ 1", "+ 3")),
        group("test_second.py", "", ("toy.two", "+ 1", "+ 2", "nothing can tell")),
        group("test_second.py", ""),
    ],
)
def test_other_mutants_or_tests_make_their_group_stale(small_root, other):
    assert stale(digests(small_root, second=other), small_root) == ["second"]


def test_a_group_without_a_stamp_is_stale(small_root):
    assert stale(digests(small_root, fourth=TOYS["third"]), small_root) == ["fourth"]
    (small_root / mutant_stamps.FILE).unlink()
    assert stale(digests(small_root), small_root) == list(TOYS)


def test_the_real_groups_read_the_modules_that_they_mutate_and_what_their_tests_share():
    names = [path.relative_to(mutants.ROOT).as_posix() for path in files_of(mutants.GROUPS["local"])]
    shared = ["conftest.py", "models.py", "shapes.py", "test_windows.py", "test_perturbation.py"]
    mutated = {f"{each.module.replace('.', '/')}.py" for each in mutants.GROUPS["local"].mutants}
    assert sorted(names) == sorted([*(f"tests/{name}" for name in shared), *mutated])


# ---- the command: what runs, and which stamps it writes


@pytest.fixture
def command(small_root, monkeypatch):
    """`mutants.main` on the toys without running them: "second" has a survivor. Returns what ran, and new stamps."""
    ran = []

    def run(names):
        ran.extend(names)
        return [name for name in names if name != "second"], ["PROBLEM second: SURVIVED"] * ("second" in names)

    def called(*arguments):
        ran.clear()
        mutants.main(arguments, small_root)
        return ran, read(small_root)

    monkeypatch.setattr(mutants, "GROUPS", TOYS)
    monkeypatch.setattr(mutants, "in_two_processes", run)
    (small_root / mutant_stamps.FILE).write_text(json.dumps({"first": "old", "second": "old", "gone": "old"}))
    return called


def test_a_full_run_stamps_the_groups_without_a_problem_and_no_other(command, small_root):
    now = digests(small_root)
    assert command() == (list(TOYS), {"first": now["first"], "third": now["third"]})


def test_named_groups_are_stamped_if_asked(command, small_root):
    before = read(small_root)
    assert command("third") == (["third"], before)
    stamps = {"first": "old", "second": "old", "third": digests(small_root)["third"]}
    assert command("third", "--stamp") == (["third"], stamps)


def test_what_has_changed_runs_and_nothing_is_written(command, small_root, capsys):
    command("third", "--stamp")
    before = (small_root / mutant_stamps.FILE).read_bytes()
    assert command("--changed")[0] == ["first", "second"]
    assert "skipped, as their stamps say: third\n" in capsys.readouterr().out
    assert command("--changed", "third")[0] == []
    assert (small_root / mutant_stamps.FILE).read_bytes() == before


def test_a_survivor_loses_its_stamp_and_is_the_exit_code(command, small_root):
    now = digests(small_root)
    write(now | {"first": "old"}, small_root)
    assert command("second", "--stamp")[1] == {"first": "old", "third": now["third"]}
    assert [mutants.main([name], small_root) for name in ("second", "third")] == [1, 0]


def test_an_unknown_group_is_refused_with_the_names_of_all(command, capsys):
    with pytest.raises(SystemExit) as error:
        command("forth")
    assert error.value.code == 2
    assert "unknown: ['forth']; the groups are ['first', 'second', 'third']" in capsys.readouterr().err
