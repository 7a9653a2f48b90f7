"""The project's own rules: who imports whom, requirements in step, the shape of notebooks, the report's numbers."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import __main__ as targets
from tools import environment, notebooks, report
from tools.peers.environment import ELSEWHERE, TITLES

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = notebooks.found()
NOTEBOOK_NAMES = [path.stem for path in NOTEBOOKS]

# Wing of the package -> the wings below it, and the libraries its rooms may import; the standard library is free.
# The rooms of GROUND lie below every wing. Within a wing no circle is allowed.
PACKAGE = ROOT / "heatproof"
GROUND = {"backend", "batches", "bytecode", "checks", "enlarging", "folders", "hiding"}
GROUND |= {"problems", "progress", "quiet", "wording", "writing"}
WINGS = {
    "ground": (set(), {"PIL", "numpy", "platformdirs", "scipy", "tensorflow", "tqdm"}),
    "engine": (set(), {"keras", "numpy", "tensorflow"}),
    "methods": ({"engine"}, {"keras", "numpy", "skimage", "sklearn"}),
    "inside": ({"engine", "data"}, {"keras", "numpy", "pandas", "scipy", "sklearn"}),
    "metrics": ({"engine", "methods"}, {"joblib", "keras", "numpy", "pandas", "psutil", "scipy", "skimage", "sklearn"}),
    "data": (set(), {"PIL", "numpy", "pandas", "pooch", "scipy", "skimage"}),
    "networks": ({"data"}, {"h5py", "keras", "numpy", "scipy", "sklearn", "tqdm"}),
    "display": (set(), {"keras", "matplotlib", "numpy", "pandas", "scipy"}),
    "command": ({"engine", "methods", "networks", "display"}, {"PIL", "numpy"}),
}
ROOMS = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
LONGEST_ROOM, LONGEST_FUNCTION = 300, 40
FACES = {"xai_utils", "mnist1d_utils"}


def imports(source: str) -> set[str]:
    """Every module that a source imports anywhere; `from heatproof import checks` counts as heatproof.checks."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            whole = (ROOT / node.module.replace(".", "/")).is_dir()
            names |= {f"{node.module}.{alias.name}" for alias in node.names} if whole else {node.module}
    return names


def own(names: set[str]) -> set[str]:
    """Those imports that are the project's own."""
    return {name for name in names if name.split(".")[0] in {"heatproof", *FACES}}


def libraries(names: set[str]) -> set[str]:
    tops = {name.split(".")[0] for name in names}
    ours = {"heatproof", "tools", "benchmarks", *FACES}
    ours |= {path.stem for folder in ("tests", "models") for path in (ROOT / folder).iterdir()}
    return tops - ours - set(sys.stdlib_module_names)


def code_of(path: Path) -> str:
    """The Python of a notebook's code cells, without lines that only IPython understands."""
    cells = nbformat.read(path, as_version=4).cells
    lines = "\n".join(cell.source for cell in cells if cell.cell_type == "code").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def source_of(path: Path) -> str:
    return code_of(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")


def scripts() -> list[Path]:
    """What stands outside the rooms: benchmarks and the training script."""
    return [*sorted((ROOT / "benchmarks").rglob("*.py")), *sorted((ROOT / "models").glob("*.py"))]


# ---- arrows


def room(path: Path) -> str:
    """A room's name as it is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def wing(name: str) -> str:
    """The wing of a room: its folder, "ground" for a room of the ground, "command" for the command line."""
    parts = name.split(".")
    return parts[1] if len(parts) > 2 else "command" if parts[1] == "__main__" else "ground"


@pytest.mark.parametrize("path", ROOMS, ids=room)
def test_a_room_imports_only_what_lies_below_it(path):
    name, names = room(path), imports(path.read_text(encoding="utf-8"))
    assert wing(name) in WINGS, f"{name}: its wing is new: give it a row in WINGS"
    assert wing(name) != "ground" or path.stem in GROUND, f"{name} is new on the ground: name it in GROUND"
    below, allowed = WINGS[wing(name)]
    assert {wing(other) for other in own(names)} <= {"ground", wing(name), *below}
    assert libraries(names) <= allowed


def circles(arrows: dict[str, set[str]]) -> set[str]:
    """What is left of a graph when everything that points at nothing left is taken away, again and again."""
    left = {name: set(others) for name, others in arrows.items()}
    while gone := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in gone}
    return set(left)


def test_no_room_reaches_itself():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"c"}, "e": set()}) == {"a", "b", "c", "d"}
    assert not circles({room(path): own(imports(path.read_text(encoding="utf-8"))) for path in ROOMS})


def test_only_rooms_hold_code():
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent != PACKAGE:
            assert not ast.parse(path.read_text()).body, f"{path} stays empty"
    first = "from heatproof.backend import check_backend\nfrom heatproof.quiet import be_quiet\n\n"
    text = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    assert text == first + "check_backend()\nbe_quiet()\n", "before any room, the backend and its lines; no more"


def long_functions(source: str) -> dict[str, int]:
    """The functions whose bodies have more than LONGEST_FUNCTION lines, their docstrings not counted."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0].end_lineno + 1 if ast.get_docstring(node) else node.body[0].lineno
            if (lines := node.end_lineno - first + 1) > LONGEST_FUNCTION:
                found[node.name] = lines
    return found


@pytest.mark.parametrize("path", [*ROOMS, *sorted(ROOT.glob("*_utils.py"))], ids=room)
def test_rooms_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    written = text.split("\n__all__ = ")[0] if path.stem in FACES else text  # a face's list repeats its imports
    assert len(written.splitlines()) <= LONGEST_ROOM
    assert not long_functions(text)


@pytest.mark.parametrize("face", sorted(FACES))
def test_a_face_re_exports_and_does_nothing_else(face):
    tree = ast.parse((ROOT / f"{face}.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert {type(node) for node in tree.body[1:]} <= {ast.ImportFrom, ast.Assign}
    assert all(node.module.startswith("heatproof.") for node in tree.body if isinstance(node, ast.ImportFrom))
    assigned = [target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assert assigned == ["__all__"]


def test_mnist1d_utils_knows_nothing_of_explanations():
    names = own(imports((ROOT / "mnist1d_utils.py").read_text(encoding="utf-8")))
    assert {wing(name) for name in names} <= {"data", "networks"}


@pytest.mark.parametrize("path", [*NOTEBOOKS, *scripts()], ids=lambda path: path.stem)
def test_notebooks_and_scripts_use_the_faces(path):
    # What trains the image networks is no part of a reader's face: only the scripts behind `make models` need it.
    makers = {"data", "networks"} if path.name in ("train.py", "train_captioners.py") else set()
    # What an operation reads is the engine's knowledge, and no method's: what windows would save is counted with it.
    makers |= {"engine"} if path.name == "windows.py" else set()
    # The raw passes through a network, beside which the counting of a dissection is timed, are those that it makes.
    makers |= {"inside"} if path == ROOT / "benchmarks" / "inside.py" else set()
    free = FACES | ({"heatproof.writing"} if path.suffix == ".py" else set())  # one place writes files
    assert {wing(name) for name in own(imports(source_of(path))) - free} <= makers


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("test_*.py")), ids=lambda path: path.stem)
def test_unit_tests_use_the_faces_and_the_rooms(path):
    names = own(imports(path.read_text(encoding="utf-8")))
    assert names <= FACES | {room(path) for path in ROOMS}


# ---- tools and benchmarks


def workshop() -> dict[str, Path]:
    """Every module of tools and benchmarks by its dotted name."""
    paths = [path for folder in ("tools", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def arrows() -> dict[str, set[str]]:
    """Module of tools and benchmarks -> those that it imports; `from tools import parity` counts as tools.parity."""
    found, modules = {}, workshop()
    for name, path in modules.items():
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        found[name] = names & set(modules) - {name}
    return found


def test_tools_and_benchmarks_import_each_other_in_no_circle():
    assert "tools.peers.case" in arrows()["benchmarks.contenders.worker"]
    assert not circles(arrows())


def test_peers_serve_parity_and_benchmark_and_know_neither():
    allowed = {name for name in workshop() if name.startswith("tools.peers")} | {"tools", "tools.environment"}
    for name, others in arrows().items():
        if name.startswith("tools.peers"):
            assert others <= allowed, name


KINDS = ("with", "metrics", "relevance", "hand", "trust")  # of rooms that call another library, KIND_NAME.py


def test_every_other_library_is_wrapped_once():
    """KIND_NAME.py of the kinds above; Quantus calls Captum for the maps that it scores."""
    known = {name: {f"tools.peers.{kind}_{name}" for kind in KINDS} for name in TITLES}
    known |= {"quantus": {f"tools.peers.{kind}_quantus" for kind in ("metrics", "hand", "trust")}}
    known["captum"].add("tools.peers.metrics_quantus")
    users = {name: set() for name in known}
    for module, path in workshop().items():
        for name in libraries(imports(path.read_text(encoding="utf-8"))) & set(known):
            users[name].add(module)
    for name, modules in known.items():
        assert users[name] and users[name] <= modules, f"{name} is imported by {sorted(users[name] - modules)}"


@pytest.mark.parametrize("path", workshop().values(), ids=workshop())
def test_files_and_functions_of_the_workshop_are_short(path):
    text = path.read_text(encoding="utf-8")
    written = text.split("\n__all__ = ")[0] if path.stem in FACES else text  # a face's list repeats its imports
    assert len(written.splitlines()) <= LONGEST_ROOM
    assert not long_functions(text)


def derivatives(path: Path) -> list[str]:
    """The file's name once for every use of automatic differentiation in it."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    uses = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute | ast.Name)]
    return [path.name for use in uses if use.endswith("GradientTape") or use == "tf.gradients"]


def test_one_place_differentiates():
    files = [*ROOMS, *ROOT.glob("*_utils.py")]
    uses = [name for path in files for name in derivatives(path)]
    assert uses == ["tracing.py"]


# ---- requirements, lock, environment.yml, Makefile


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def test_every_direct_requirement_is_locked_within_its_bounds():
    locked = requirements("requirements.txt")
    for wanted in requirements("requirements.in"):
        pins = [pin for pin in locked if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
        assert pins, f"{wanted.name} is not in requirements.txt: make lock"
        for pin in pins:
            (version,) = [part.version for part in pin.specifier if part.operator == "=="]
            assert wanted.specifier.contains(version, prereleases=True), f"{pin}: make lock"


def test_the_lock_pins_everything_and_holds_no_address():
    lock = environment.lock_text()
    assert not re.search(r"://|@|^-|\.whl|\.tar", lock, re.MULTILINE)
    assert all("==" in str(pin.specifier) for pin in requirements("requirements.txt"))


def elsewhere() -> set[str]:
    """Files that run in .venv-peers alone, or in .venv-innvestigate."""
    names = (*ELSEWHERE, "quantus", "pycocoevalcap", "innvestigate", "torch")
    return {f"{kind}_{name}.py" for name in names for kind in KINDS} | {"twin.py", "operators.py"}


def test_every_imported_library_is_a_direct_requirement():
    patterns = ("heatproof/**/*.py", "*.py", "tests/*.py", "models/*.py", "notebooks/*")
    files = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    files += [path for path in workshop().values() if path.name not in elsewhere()]
    used = {
        name: path.name
        for path in files
        if path.suffix in (".py", ".ipynb")
        for name in libraries(imports(source_of(path)))
    }
    direct = {canonicalize_name(wanted.name) for wanted in requirements("requirements.in")}
    owners = packages_distributions()
    for name, user in used.items():
        distributions = {canonicalize_name(owner) for owner in owners.get(name, [name])}
        assert distributions & direct, f"{user} imports {name}: add it to requirements.in with its reason"


def test_environment_yml_is_generated_from_the_lock():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert text == environment.conda(environment.lock_text()), "make environment"
    python, pip, inline = yaml.safe_load(text)["dependencies"]
    assert (python, pip) == ("python >=3.11,<3.14", "pip")
    assert inline["pip"] == environment.lock_text().splitlines()


def test_gpu_takes_the_same_version_and_nothing_else():
    lock = "keras==3.1\ntensorflow==2.21.0 ; sys_platform != 'linux'\ntensorflow-cpu==2.21.0 ; x\ntf-keras-vis==1\n"
    assert environment.gpu_requirements(lock) == "keras==3.1\ntf-keras-vis==1\ntensorflow[and-cuda]==2.21.0\n"


def test_another_lock_or_another_build_makes_the_environment_stale():
    stamps = [environment.stamp(lock, gpu) for lock in ("a==1\n", "a==2\n") for gpu in (False, True)]
    assert len(set(stamps)) == 4
    assert environment.stamp("a==1\n", False) == stamps[0]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """An up-to-date .venv of the CPU build, and the list of what `ensure` does to it."""
    done = []
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment, "venv_python", lambda: Path(sys.executable))
    monkeypatch.setattr(environment, "create", lambda: done.append("create"))
    monkeypatch.setattr(environment, "install", lambda gpu: done.append("gpu" if gpu else "cpu"))
    environment.ensure()
    assert done == ["cpu"]
    done.clear()
    return done


def test_an_up_to_date_environment_is_left_alone(made):
    environment.ensure()
    environment.ensure(False)
    assert made == []


def test_the_choice_of_build_makes_a_new_environment_and_is_remembered(made):
    environment.ensure(True)
    environment.ensure()
    assert made == ["create", "gpu"]


def test_an_interrupted_installation_is_repeated(made, monkeypatch):
    def interrupted(gpu):
        raise KeyboardInterrupt

    environment.STAMP.write_text("cpu of-an-older-lock")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(environment, "install", interrupted)
        environment.ensure()
    environment.ensure()
    assert made == ["cpu"]


def test_the_makefile_and_the_tool_have_the_same_targets():
    line = re.search(r"^TARGETS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1)
    assert set(line.split()) == set(targets.HELP) == set(targets.INSIDE) | set(targets.OUTSIDE)


# ---- the shape of the notebooks


@pytest.fixture(params=NOTEBOOKS, ids=NOTEBOOK_NAMES)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_set_up_cell_is_the_same_everywhere(notebook):
    assert code_cells(notebook)[0].source == notebooks.SETUP_CELL


def test_every_cell_was_run_once_in_order_without_error_or_noise(notebook):
    cells = [cell for cell in code_cells(notebook) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_a_cell_that_draws_ends_with_show(notebook):
    for cell in code_cells(notebook):
        if any({"image/png", "image/jpeg"} & set(output.get("data", {})) for output in cell.outputs):
            assert cell.source.rstrip().splitlines()[-1] == "plt.show()"


def test_cells_are_short_and_prose_prevails(notebook):
    lines = [[line for line in cell.source.splitlines() if line.strip()] for cell in code_cells(notebook)]
    assert max(len(cell) for cell in lines) <= 20
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    assert words >= 8 * sum(len(cell) for cell in lines)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NOTEBOOK_NAMES)
def test_a_notebook_is_under_one_megabyte_and_names_no_folder_of_its_author(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    words = re.sub(r'"image/[a-z]+": "[^"]*"', "", text)  # letters of a picture can spell anything
    assert not re.search(r"/(home|root|work|tmp|Users)/\w", words)


# ---- the report


def report_text() -> str:
    text = (ROOT / "report" / "report.tex").read_text(encoding="utf-8")
    return re.sub(r"(?<!\\)%.*", "", text)


def test_every_reference_key_is_in_the_bibliography():
    keys = re.findall(r"^@\w+\{([^,]+),", (ROOT / "report" / "references.bib").read_text("utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys))
    tree = ast.parse((PACKAGE / "methods" / "catalogue.py").read_text("utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = {text for text in strings if re.fullmatch(r"[a-z]+(19|20)\d\d[a-z]*", text)}
    cited = re.findall(r"\\cite[a-z]*\*?(?:\[[^]]*\])*\{([^}]*)\}", report_text())
    named |= {key.strip() for group in cited for key in group.split(",")}
    assert named and named <= set(keys)


def saved_names() -> list[str]:
    """Patterns of the names that notebooks give to save_value; a placeholder of an f-string matches anything."""
    patterns = []
    for path in NOTEBOOKS:
        for node in ast.walk(ast.parse(code_of(path))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("save_value"):
                parts = getattr(node.args[0], "values", [node.args[0]])
                constant = [isinstance(part, ast.Constant) for part in parts]
                pairs = zip(parts, constant, strict=True)
                patterns.append("".join(re.escape(part.value) if plain else ".*" for part, plain in pairs))
    return patterns


def test_every_value_the_report_quotes_is_saved_by_a_notebook():
    patterns = saved_names()
    quoted = set(re.findall(r"\\val\{([^}#]+)\}", report_text()))
    assert not {name for name in quoted if not any(re.fullmatch(pattern, name) for pattern in patterns)}


def typed_numbers(section: str) -> list[str]:
    """Decimals and percentages in a text, other than lengths and options of commands."""
    text = re.sub(r"\[[^]]*\]|\\(?:label|cref|input|includegraphics|val|vspace|hspace)\{[^}]*\}", " ", section)
    text = re.sub(r"\d*\.?\d+\s*(?:\\(?:line|column|text)width|pt|em|ex|mm|cm)", " ", text)
    return re.findall(r"\d+\.\d+|\d+\s*(?:\\,|~)?\\%", text)


def test_typed_numbers_are_found():
    section = r"A gap of 0.5, 94\% and 3\,\% of \val{x-1.5}. \includegraphics[width=0.9\linewidth]{a} 2 networks"
    assert typed_numbers(section) == ["0.5", r"94\%", r"3\,\%"]


def test_no_result_is_typed_into_the_report():
    (results,) = re.findall(r"\\section\{Results\}(.*?)(?=\\section\{|\\bibliography)", report_text(), re.DOTALL)
    assert not typed_numbers(results)


# ---- the tool, where it could go wrong in silence


@pytest.fixture
def small_root(tmp_path):
    """A repository of one notebook and one module."""
    (tmp_path / "heatproof" / "engine").mkdir(parents=True)
    (tmp_path / "heatproof" / "engine" / "query.py").write_bytes(b"a = 1\nb = 2\n")
    cells = [nbformat.v4.new_code_cell("1 + 1", id="one"), nbformat.v4.new_markdown_cell("text", id="two")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "n.ipynb")
    return tmp_path


def rewrite(path, change):
    content = nbformat.read(path, as_version=4)
    change(content.cells)
    nbformat.write(content, path)


def test_outputs_and_line_ends_do_not_make_a_notebook_stale(small_root):
    path = small_root / "n.ipynb"
    before = notebooks.source_digest(path, small_root)
    rewrite(path, lambda cells: cells[0].outputs.append(nbformat.v4.new_output("stream", text="2")))
    (small_root / "heatproof" / "engine" / "query.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    (small_root / "unrelated.py").write_text("c = 3")
    assert notebooks.source_digest(path, small_root) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: rewrite(root / "n.ipynb", lambda cells: cells[0].update(source="1 + 2")),
        lambda root: rewrite(root / "n.ipynb", lambda cells: cells[0].metadata.update(tags=["nbval-skip"])),
        lambda root: rewrite(root / "n.ipynb", lambda cells: cells.reverse()),
        lambda root: (root / "heatproof" / "engine" / "query.py").write_text("a = 1\nb = 3\n"),
        lambda root: (root / "heatproof" / "engine" / "query.py").rename(root / "heatproof" / "engine" / "quarry.py"),
        lambda root: (root / "some_utils.py").write_text(""),
        lambda root: (root / "requirements.txt").write_text("a==1"),
    ],
    ids=["code", "tag", "order", "module", "name", "new module", "lock"],
)
def test_a_changed_source_makes_a_notebook_stale(small_root, change):
    before = notebooks.source_digest(small_root / "n.ipynb", small_root)
    change(small_root)
    assert notebooks.source_digest(small_root / "n.ipynb", small_root) != before


LOG = r"""
Overfull \hbox (4.9pt too wide) in paragraph at lines 1--2
Underfull \hbox (badness 10000) in paragraph at lines 3--4
LaTeX Warning: Reference `fig:a' on page 1 undefined on input line 5.
Package natbib Warning: Citation `b2020' on page 2 undefined on input line 6.
Overfull \hbox (5.1pt too wide) in alignment at lines 7--8
Overfull \vbox (12.0pt too high) has occurred while \output is active []
LaTeX Warning: Label `fig:c' multiply defined.
LaTeX Font Warning: Font shape `T1/lmr/x' undefined
Output written on report.pdf (3 pages, 12345 bytes).
"""


def test_a_log_is_read_for_references_citations_labels_and_boxes():
    assert report.complaints(LOG) == [
        "Reference `fig:a' on page 1 undefined on input line 5.",
        "Citation `b2020' on page 2 undefined on input line 6.",
        "Label `fig:c' multiply defined.",
        r"Overfull \hbox (5.1pt too wide) in alignment at lines 7--8",
        r"Overfull \vbox (12.0pt too high) has occurred while \output is active []",
    ]
    assert report.pages(LOG) == 3


def test_values_become_definitions_with_special_characters_escaped():
    text = report.values_tex({"b-1": "94.3 %\n", "a": r"$10^{-3}$ \% of x_1 & #2", "c": "-0.5"})
    assert text.removeprefix(report.VAL_MACRO).splitlines() == [
        r"\expandafter\def\csname val:a\endcsname{$10^{-3}$ \% of x\_1 \& \#2}",
        r"\expandafter\def\csname val:b-1\endcsname{94.3 \%}",
        r"\expandafter\def\csname val:c\endcsname{$-$0.5}",
    ]


def test_one_file_name_from_two_notebooks_is_refused(tmp_path):
    for name in ("01_a", "02_b"):
        (tmp_path / name / "tables").mkdir(parents=True)
        (tmp_path / name / "tables" / f"{name}.tex").write_text(name)
    folders = [tmp_path / "01_a", tmp_path / "02_b"]
    assert set(report.collect(folders)) == {("tables", "01_a.tex"), ("tables", "02_b.tex")}
    (tmp_path / "02_b" / "tables" / "01_a.tex").write_text("twice")
    with pytest.raises(SystemExit, match="tables/01_a.tex is written by both 01_a and 02_b"):
        report.collect(folders)
