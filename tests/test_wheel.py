"""The package as it is installed: what the wheel holds, what it asks for, and where it writes in a foreign folder."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from test_project import ROOMS, ROOT, imports, libraries, requirements, room
from test_readme import five_lines

import xai_utils as xu
from heatproof import folders
from heatproof.data import hmt, pictures
from tools import environment

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]


# ---- what pyproject.toml says agrees with its sources


def test_every_package_that_pyproject_names_stands_in_requirements_in_and_the_other_way_round():
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    named = [str(Requirement(line)) for line in (*PROJECT["dependencies"], *extras)]
    assert len(named) == len(set(named))
    assert set(named) == {str(wanted) for wanted in requirements("requirements.in")}
    assert set(SETTINGS["build-system"]["requires"]) <= set(named)


def test_the_package_asks_for_what_it_imports_and_for_nothing_else():
    rooms = [ast.unparse(ast.parse(path.read_text(encoding="utf-8"))) for path in ROOMS]
    owners = packages_distributions()
    used = {
        canonicalize_name(owner)
        for source in rooms
        for name in libraries(imports(source))
        for owner in owners[name]
        if name != "tensorflow"  # one import, a distribution for each platform
    }
    asked = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert asked == used | {"tensorflow", "tensorflow-cpu", "jinja2"}


def test_version_and_pythons_are_those_of_the_citation_and_the_tools():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == citation["version"]
    (oldest, newest), (major, minor) = (environment.OLDEST[1], environment.NEWEST[1]), environment.OLDEST
    assert PROJECT["requires-python"] == f">={major}.{oldest},<{major}.{newest + 1}" and minor == oldest


# ---- the rule of the folders


def test_a_checkout_is_a_folder_with_this_projects_settings(tmp_path):
    assert folders.CHECKOUT == folders.checkout_at(ROOT) == ROOT
    assert folders.checkout_at(tmp_path) is None
    others = {"other": '[project]\nname = "other"', "tools": "[tool.ruff]\nline-length = 1", "torn": "[project\nname"}
    for name, text in others.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text(text)
        assert folders.checkout_at(tmp_path / name) is None, name


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No variable names a folder; the user's cache folder and the working folder are new."""
    for variable in ("XAI_DATA", "XAI_REPORT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name, appauthor: tmp_path / "user" / name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture
def installed(bare, monkeypatch):
    monkeypatch.setattr(folders, "CHECKOUT", None)
    return bare


def test_in_a_checkout_everything_counts_from_it(bare, monkeypatch):
    assert folders.data_folder() == ROOT / "data" and folders.cache_folder() == ROOT / "data" / "cache"
    assert pictures.CACHE == folders.cache_folder()
    assert ROOT not in folders.report_folder().parents and folders.report_folder().is_absolute()
    monkeypatch.setenv("XAI_DATA", "mine")
    monkeypatch.setenv("XAI_REPORT_DIR", "report/mine")
    assert (folders.data_folder(), folders.report_folder()) == (ROOT / "mine", ROOT / "report/mine")
    assert folders.cache_folder() == ROOT / "data" / "cache"


def test_installed_data_lies_in_the_users_cache_and_figures_in_the_working_folder(installed, monkeypatch):
    home, work = installed / "user" / "heatproof", installed / "work"
    assert (folders.data_folder(), folders.cache_folder(), folders.report_folder()) == (home, home / "cache", work)
    monkeypatch.setenv("XAI_DATA", "mine")
    monkeypatch.setenv("XAI_REPORT_DIR", str(installed / "report"))
    assert (folders.data_folder(), folders.report_folder()) == (work / "mine", installed / "report")
    assert folders.cache_folder() == home / "cache"
    monkeypatch.setenv("XAI_DATA", "~/mine")
    assert folders.data_folder() == Path.home() / "mine"


def test_installed_the_cure_for_an_absent_data_set_needs_no_makefile(installed, monkeypatch):
    with pytest.raises(FileNotFoundError, match="fetches it") as raised:
        xu.load_hmt()
    cure = str(raised.value).partition('python -c "')[2].partition('"')[0]
    fetched = []
    monkeypatch.setattr(hmt, "fetch_hmt", lambda: fetched.append(folders.data_folder()))
    exec(cure, {})
    assert fetched == [installed / "user" / "heatproof"] and str(fetched[0]) in str(raised.value)


# ---- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built offline from a copy: a build leaves files beside its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "heatproof", folder / "heatproof", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*_utils.py"), ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "LICENSE"):
        shutil.copy(path, folder)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (folder / "dist").iterdir()
    return path


@pytest.mark.slow
def test_the_wheel_holds_every_room_its_texts_the_faces_and_the_mark_of_types_and_nothing_else(wheel):
    assert wheel.name == f"heatproof-{PROJECT['version']}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as files:
        names = [name for name in files.namelist() if ".dist-info/" not in name]
        assert len(names) == len(set(names))
        for name in names:
            assert files.read(name) == (ROOT / name).read_bytes(), name
    sources = [*(ROOT / "heatproof").rglob("*.py"), *(ROOT / "heatproof").rglob("*.txt"), *ROOT.glob("*_utils.py")]
    sources += [ROOT / "heatproof" / "py.typed"]
    assert set(names) == {path.relative_to(ROOT).as_posix() for path in sources}
    assert {room(path).replace(".", "/") + ".py" for path in ROOMS} <= set(names)


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory):
    """The folder of the programs of a new environment that holds the wheel and sees the libraries of this one."""
    folder, uv = tmp_path_factory.mktemp("environment"), shutil.which("uv")
    venv.EnvBuilder(with_pip=uv is None, symlinks=os.name != "nt").create(folder)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    subprocess.run([*install, "--quiet", "--no-deps", "--no-index", wheel], check=True)
    where = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    site = subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip()
    Path(site, "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python.parent


def files(folder):
    """What lies in a folder, Python's own compiled modules aside."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


class Place:
    """A home and a working folder, both empty, of a user who has made no setting of ours."""

    def __init__(self, folder, programs):
        self.home, self.work, self.programs = folder / "home", folder / "work", programs
        self.home.mkdir()
        self.work.mkdir()

    def run(self, program, *arguments, code=0):
        """Run a program of the environment in the working folder."""
        ours = ("XAI_", "XDG_", "PYTHON", "MPL")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environ |= dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA"), str(self.home))
        environ |= {"XAI_PROGRESS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [self.programs / program, *arguments]
        done = subprocess.run(command, cwd=self.work, env=environ, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done


@pytest.fixture
def place(programs, tmp_path):
    before = files(programs.parent)
    yield Place(tmp_path, programs)
    assert files(programs.parent) == before, "something was written beside the package"


FOREIGN = """
import sys
import numpy as np
from heatproof import folders
assert folders.CHECKOUT is None and folders.__file__.startswith(sys.prefix)
faces = xu.load_fer2013("test")
assert faces.images.shape == (1, 48, 48, 1) and np.all(faces.images == np.float32(51 / 255))
print(float(np.abs(maps).max()), xu.peak_memory(model, inputs, methods=("saliency",)).MiB[0])
"""


@pytest.mark.slow
def test_the_five_lines_of_the_readme_run_in_a_foreign_folder(place):
    (place.work / "models").mkdir()
    for name in ("mnist1d.keras", "mnist1d.json"):
        shutil.copy(ROOT / "models" / name, place.work / "models")
    home = place.home / "heatproof/Cache" if os.name == "nt" else place.home / ".cache/heatproof"
    home = place.home / "Library/Caches/heatproof" if sys.platform == "darwin" else home
    home.mkdir(parents=True)
    (home / "fer2013.csv").write_text(f"emotion,pixels,Usage\n3,{' '.join(['51'] * 48 * 48)},PrivateTest\n")
    told, numbers = place.run("python", "-c", five_lines() + FOREIGN).stdout.splitlines()
    assert told == f"(3, 40, 1) drawn in {place.work / 'figures' / 'why.pdf'}"
    highest, memory = map(float, numbers.split())
    assert highest > 0 and memory > 0
    networks = {"models/mnist1d.keras", "models/mnist1d.json"}
    assert files(place.work) == networks | {"figures/why.pdf", "figures/why.png"}
    (decoded,) = (home / "cache").iterdir()
    assert np.load(decoded).shape == (1, 48, 48) and (np.load(decoded) == 51).all()


@pytest.mark.slow
def test_the_console_command_does_what_the_module_does(place):
    Image.fromarray(np.round(255 * xu.load_faces().images[0, ..., 0]).astype(np.uint8)).save(place.work / "face.png")
    call = ["explain", "--model", str(ROOT / "models" / "faces.keras"), "--image", "face.png", "--out"]
    said = place.run("heatproof", *call, "command.png").stdout
    same = place.run("python", "-m", "heatproof", *call, "module.png").stdout
    assert said.replace("command.png", "module.png") == same
    assert "happy" in said and files(place.work) == {"face.png", "command.png", "module.png"}
    assert (place.work / "command.png").read_bytes() == (place.work / "module.png").read_bytes()
    refused = place.run("heatproof", "explain", "--image", "face.png", code=2).stderr
    assert refused == "error: the following arguments are required: --model, --out\n"
    assert place.run("heatproof", "explain", "--help").stdout.startswith("usage: heatproof explain")
