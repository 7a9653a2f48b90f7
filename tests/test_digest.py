"""Kept answers know the code that gave them: whatever it runs through, and nothing else, makes the question another."""

import functools
import shutil
import sys
import types
from pathlib import Path

import keras
import numpy as np
import processes
import pytest

import models
import xai_utils as xu
from heatproof.metrics import digest, evaluation, faithfulness, shards

NETWORK = models.linear(ending="softmax")
INPUTS = models.examples(NETWORK, 3)
QUESTION = {"methods": ("gradient_x_input",), "metrics": ("deletion",)}


def key(*values):
    return digest.Digest().add(*values).hexdigest()


def values(frame, method):
    return frame[frame["method"] == method]["value"].tolist()


# ---- closures of sources


SOURCES = {
    "lab/__init__.py": "",
    "lab/a.py": "import os\nfrom lab import b\nfrom lab.inner.c import one, two\n",
    "lab/b.py": "def late():\n    import lab.d\n",
    "lab/d.py": "import lab.a\n",  # a circle
    "lab/e.py": "from lab import a\n",  # nothing imports it
    "lab/inner/__init__.py": "from . import f\n",
    "lab/inner/c.py": "from ..g import three\n",  # two points: the package above
    "lab/inner/f.py": "",
    "lab/g.py": "import numpy as np\n",
    "beside.py": "",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_closure_by_hand(tree):
    """a names b, inner and inner.c; b names d in a function; inner names f; inner.c names g; d comes back to a."""
    found = digest.closure_of("lab.a", tree)
    wanted = {"lab", "lab.a", "lab.b", "lab.d", "lab.g", "lab.inner", "lab.inner.c", "lab.inner.f"}
    assert set(found) == wanted and found["lab.inner"] == tree / "lab" / "inner" / "__init__.py"
    assert set(digest.closure_of("lab.g", tree)) == {"lab", "lab.g"}  # and what holds a module is run before it
    assert digest.closure_of("lab.none", tree) == {}


def test_a_closure_of_ours_goes_down_the_wings_and_never_up():
    found = digest.closure_of("heatproof.methods.gradients")
    wings = {name.split(".")[1] for name in found if name.count(".") == 2}
    assert wings == {"engine", "methods"} and "heatproof.methods.lime" not in found
    assert {"heatproof.engine.tracing", "heatproof.engine.query", "heatproof.hiding"} < set(found)


@pytest.mark.parametrize("name", [name for name, text in SOURCES.items() if name not in ("lab/e.py", "beside.py")])
def test_every_source_of_a_closure_counts(tree, name):
    before = digest.sources(digest.closure_of("lab.a", tree))
    (tree / name).write_text(SOURCES[name] + "x = 1\n")
    assert digest.sources(digest.closure_of("lab.a", tree)) != before


def test_other_sources_and_line_ends_do_not_count(tree):
    before = digest.sources(digest.closure_of("lab.a", tree))
    for name in ("lab/e.py", "beside.py"):
        (tree / name).write_text("x = 1\n")
    (tree / "lab" / "a.py").write_bytes(SOURCES["lab/a.py"].replace("\n", "\r\n").encode())
    assert digest.sources(digest.closure_of("lab.a", tree)) == before


@pytest.mark.parametrize("library", ["tensorflow", "keras", "numpy"])
def test_the_version_of_a_library_counts(tree, library, monkeypatch):
    before = digest.sources(digest.closure_of("lab.a", tree))
    monkeypatch.setattr(sys.modules[library], "__version__", "0.0")
    assert digest.sources(digest.closure_of("lab.a", tree)) != before


def test_the_version_of_a_library_counts_for_what_imports_it(monkeypatch):
    before = [digest.sources(digest.closure_of(f"heatproof.methods.{name}")) for name in ("lime", "gradients")]
    monkeypatch.setattr(sys.modules["skimage"], "__version__", "0.0")
    after = [digest.sources(digest.closure_of(f"heatproof.methods.{name}")) for name in ("lime", "gradients")]
    assert [old != new for old, new in zip(before, after, strict=True)] == [True, False]


# ---- values


def twins():
    """Two networks of one name and shape."""
    network = models.linear(seed=0)
    other = keras.models.clone_model(network)
    other.set_weights(models.linear(seed=1).get_weights())
    return network, other


def closing_over(value):
    return lambda case: value


def default(value):
    def function(case, value=value):
        return value

    return function


def keyword(value):
    def function(case, *, value=value):
        return value

    return function


LONG = np.zeros(5000)  # its text leaves out the middle
OTHER = np.where(np.arange(5000) == 2500, 1.0, 0.0)
SEPARABLE = {
    "numbers": (1, 2),
    "kinds": (1, 1.0, "1", True, None),
    "nested": ([1, [2]], [[1], 2], [1, 2]),
    "dictionaries": ({"a": 1}, {"a": 2}, {"b": 1}),
    "long arrays": (LONG, OTHER),
    "arrays": (np.zeros(4), np.zeros((2, 2)), np.zeros(4, "float32")),
    "closures": (closing_over(1), closing_over(2), closing_over(LONG), closing_over(OTHER)),
    "defaults": (default(1), default(2)),
    "options with defaults": (keyword(1), keyword(2)),
    "names of arguments": (lambda a, b: a, lambda c, b: c),
    "attributes": (lambda case: case.full, lambda case: case.hard),
    "partials": (functools.partial(closing_over, 1), functools.partial(closing_over, 2)),
    "lambdas": (lambda case: case.full + 1, lambda case: case.full + 2, lambda case: case.hard + 1),
    "library functions": (np.sin, np.cos, len),
    "rows": (xu.METHODS["saliency"], xu.METHODS["var_grad"], xu.METRICS["deletion"], xu.METRICS["insertion"]),
    "networks": twins(),
}


@pytest.mark.parametrize("kind", SEPARABLE)
def test_different_values_have_different_keys_and_the_same_value_one(kind):
    keys = [key(value) for value in SEPARABLE[kind]]
    assert len(set(keys)) == len(keys)
    assert keys == [key(value) for value in SEPARABLE[kind]]


def test_the_order_of_a_dictionary_or_a_set_does_not_count():
    assert key({"a": 1, "b": (2,)}) == key({"b": (2,), "a": 1})
    assert key(frozenset("abcdef")) == key(frozenset("fedcba"))


def keys_of_rows():
    rows = [*xu.METHODS.values(), *xu.METRICS.values()]
    return [key(row) for row in rows] + [key({"fill": np.ones(3), "words": {"a", "b", "c"}})]


def test_another_process_finds_the_same_keys():
    """Its sets are in another order, its objects at other places."""
    assert processes.ask(keys_of_rows) == keys_of_rows()


# ---- a visitor's functions


def imported(folder, name, monkeypatch):
    """A module of a visitor's folder, imported anew."""
    monkeypatch.syspath_prepend(str(folder))
    for other in ("mine", "helpers"):
        monkeypatch.delitem(sys.modules, other, raising=False)
    return __import__(name)


def test_a_helper_in_another_file_of_a_visitor_counts(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("import helpers\ndef method(m, x, c):\n    return helpers.scaled(x)\n")
    (tmp_path / "helpers.py").write_text("def scaled(x):\n    return 2 * x\n")
    first = key(imported(tmp_path, "mine", monkeypatch).method)
    (tmp_path / "unrelated.py").write_text("x = 1")
    assert key(imported(tmp_path, "mine", monkeypatch).method) == first
    (tmp_path / "helpers.py").write_text("def scaled(x):\n    return 300 * x\n")
    assert key(imported(tmp_path, "mine", monkeypatch).method) != first


PLACES = {  # of a visitor's module, and of what it imports
    "both beside the package": ("checkout", "checkout"),
    "the helper beside the package": ("own", "checkout"),
    "the module beside the package": ("checkout", "other"),
    "two folders of the visitor": ("own", "other"),
}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A checkout, two folders of a visitor that Python searches, and one of libraries."""
    names = ("checkout", "own", "other", "libraries")
    found = {name: tmp_path / name for name in names}
    for folder in found.values():
        folder.mkdir()
        monkeypatch.syspath_prepend(str(folder))
    (found["libraries"] / "helpers-1.0.dist-info").mkdir()
    monkeypatch.setattr(digest, "ROOT", found["checkout"])
    return found


@pytest.mark.parametrize("places", PLACES)
def test_a_helper_of_a_visitor_counts_wherever_it_lies(places, folders):
    module, helper = (folders[name] for name in PLACES[places])
    (module / "mine.py").write_text("import helpers\n")
    (helper / "helpers.py").write_text("from deeper.helper import x\n")
    (folders["own"] / "deeper").mkdir()
    (folders["own"] / "deeper" / "helper.py").write_text("x = 1\n")
    found = digest.closure_of("mine", module)
    assert found == {
        "mine": module / "mine.py",
        "helpers": helper / "helpers.py",
        "deeper.helper": folders["own"] / "deeper" / "helper.py",
    }
    before = digest.sources(found)
    (folders["own"] / "deeper" / "helper.py").write_text("x = 2\n")
    assert digest.sources(digest.closure_of("mine", module)) != before


def test_of_libraries_no_source_counts_and_of_a_library_its_own_alone(folders):
    (folders["own"] / "mine.py").write_text("import helpers\n")
    (folders["libraries"] / "helpers.py").write_text("import others\nfrom helpers import x\n")
    for name in ("own", "libraries"):
        (folders[name] / "others.py").write_text("x = 1\n")
    assert set(digest.closure_of("mine", folders["own"])) == {"mine"}
    assert set(digest.closure_of("helpers", folders["libraries"])) == {"helpers"}


def test_our_sources_import_none_of_a_visitor(folders, monkeypatch):
    """A visitor's json.py beside the package: our `import json` is Python's, and the visitor's own is the visitor's."""
    rooms = folders["checkout"] / "heatproof"
    rooms.mkdir()
    for path, text in {"__init__": "", "room": "import json\nfrom heatproof import other\n", "other": ""}.items():
        (rooms / f"{path}.py").write_text(text)
    (folders["checkout"] / "json.py").write_text("")
    (folders["own"] / "mine.py").write_text("from heatproof import room\n")
    ours = {"heatproof", "heatproof.room", "heatproof.other"}
    assert set(digest.closure_of("mine", folders["own"])) == {"mine", *ours}
    (folders["own"] / "mine.py").write_text("from heatproof import room\nimport json\n")
    assert set(digest.closure_of("mine", folders["own"])) == {"mine", "json", *ours}


def from_prompt(text):
    """A function of a prompt or a notebook: no file, its globals are what was typed."""
    typed = {"__name__": "__main__", "np": np}
    exec(text, typed)
    return typed["method"]


PROMPT = "scale = {}\ndef inner(x): return {} * x\ndef method(m, x, c): return [scale * inner(row) for row in x]\n"


def test_what_a_function_of_a_notebook_uses_counts(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    first = key(from_prompt(PROMPT.format(1, 2)))
    assert key(from_prompt(PROMPT.format(1, 2) + "unused = 3\n")) == first
    assert key(from_prompt(PROMPT.format(5, 2))) != first  # a global number
    assert key(from_prompt(PROMPT.format(1, 3))) != first  # another function
    recursive = "def method(m, x, c): return method(m, x, c)\n"
    assert key(from_prompt(recursive)) == key(from_prompt(recursive))


# ---- kept answers


def test_code_that_is_changed_in_the_process_is_another_question(tmp_path, monkeypatch):
    """A helper replaced, and a metric made to return -777: computed again; the old code finds the old answers."""
    first = xu.evaluate(NETWORK, INPUTS, 1, folder=tmp_path, **QUESTION)
    with monkeypatch.context() as patch:
        patch.setattr(faithfulness, "area_under_curve", lambda curves: np.full(len(curves), -777.0))
        changed = xu.evaluate(NETWORK, INPUTS, 1, folder=tmp_path, **QUESTION)
    assert values(changed, "gradient_x_input") == [-777.0] * 3
    with monkeypatch.context() as patch:
        row = xu.Metric(name="deletion", measure=lambda case: np.full(len(case.items), -777.0), better="low")
        patch.setitem(xu.METRICS, "deletion", row)
        changed = xu.evaluate(NETWORK, INPUTS, 1, folder=tmp_path, **QUESTION)
    assert values(changed, "gradient_x_input") == [-777.0] * 3
    with monkeypatch.context() as patch:
        patch.setattr(shards, "_attempt", lambda function, count: ([None] * count, ["not today"] * count))
        changed = xu.evaluate(NETWORK, INPUTS, 1, folder=tmp_path, **QUESTION)
    assert set(changed["reason"]) == {"not today"}
    monkeypatch.setattr(evaluation, "answer", lambda *_: pytest.fail("nothing is left to compute"))
    again = xu.evaluate(NETWORK, INPUTS, 1, folder=tmp_path, **QUESTION)
    assert values(again, "gradient_x_input") == values(first, "gradient_x_input")


def test_options_and_views_are_other_questions(tmp_path):
    baselines = [np.zeros(INPUTS.shape[1:]), np.zeros(INPUTS.shape[1:])]
    baselines[1][4, 3] = 1.0
    question = {"methods": ("integrated_gradients",), "metrics": ("completeness_gap", "infidelity")}
    for count, start in enumerate(baselines, 1):
        options = {"integrated_gradients": {"baseline": start}}
        xu.evaluate(NETWORK, INPUTS, 1, folder=tmp_path, options=options, **question)
        assert len(list(tmp_path.glob("integrated_gradients-*"))) == count
    network = models.cnn()
    inputs = models.examples(network, 2)
    tables = [
        xu.evaluate(view, inputs, 1, ("saliency",), ("infidelity",), folder=tmp_path)
        for view in (xu.logits(network), xu.with_relu_rule(network, "guided"))
    ]  # equal weights and scores, other gradients
    assert values(tables[0], "saliency") != values(tables[1], "saliency")


MINE = """\
import helpers

def method(model, inputs, targets=None):
    return helpers.scale() * inputs.mean(axis=-1)

def total(case):
    return case.attribution.reshape(len(case.items), -1).sum(axis=1)
"""


@pytest.mark.slow
def test_a_changed_helper_beside_the_package_in_a_checkout_is_computed_again(tmp_path):
    """The map is the scale times the mean over channels: twice the scale, twice the total."""
    root, folder, network = tmp_path / "copy", tmp_path / "kept", tmp_path / "network.keras"
    checkout = Path(xu.__file__).parent
    shutil.copytree(checkout / "heatproof", root / "heatproof")
    for name in ("xai_utils.py", "pyproject.toml"):
        shutil.copy(checkout / name, root)
    (root / "mine.py").write_text(MINE)
    NETWORK.save(network)
    totals = INPUTS.mean(axis=-1).reshape(len(INPUTS), -1).sum(axis=1)

    def run(scale):
        (root / "helpers.py").write_text(f"def scale():\n    return {scale}\n")
        table, count = processes.ask(processes.evaluated_by_a_visitor, root, folder, network, INPUTS)
        return values(table, "method"), count

    first, count = run(3.0)
    np.testing.assert_allclose(first, 3 * totals, rtol=1e-5)
    (root / "unrelated.py").write_text("x = 1\n")
    assert run(3.0) == (first, count)  # the same text
    changed, more = run(6.0)
    np.testing.assert_allclose(changed, 6 * totals, rtol=1e-5)
    assert more > count


@pytest.mark.slow
def test_a_changed_helper_is_seen_by_another_process_and_an_unrelated_room_is_not(tmp_path):
    """In a copy of the package: the curve of deletion made flat gives areas of 1; a room of figures changes nothing."""
    root, folder, network = tmp_path / "copy", tmp_path / "kept", tmp_path / "network.keras"
    shutil.copytree(Path(xu.__file__).with_name("heatproof"), root / "heatproof")
    shutil.copy(xu.__file__, root)
    NETWORK.save(network)

    def run():
        return processes.ask(functools.partial(processes.evaluated, root, folder, network, INPUTS, **QUESTION))

    first, count = run()
    plots = root / "heatproof" / "display" / "plots.py"
    plots.write_text(plots.read_text() + "\nUNRELATED = 1\n")
    assert run()[1] == count
    helper = root / "heatproof" / "metrics" / "faithfulness.py"
    helper.write_text(helper.read_text() + "\n\ndef area_under_curve(curves):\n    return np.ones(len(curves))\n")
    changed, more = run()
    assert more == 2 * count and values(changed, "gradient_x_input") == [1.0] * 3
    assert values(first, "gradient_x_input") != [1.0] * 3
