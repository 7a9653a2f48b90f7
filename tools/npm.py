"""Packages of npm that the website needs, at a pinned version: fetched once into build/npm/, their hash checked."""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from tools.environment import ROOT

CACHE = ROOT / "build" / "npm"
PINNED = {  # name: version and the SHA-512 of its archive, as npm states it
    "mathjax": (
        "3.2.2",
        "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
    ),
    "axe-core": (
        "4.14.1",
        "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ),
}


def integrity(archive: Path) -> str:
    """The hash of a file in npm's spelling."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def fetch(name: str, cache: Path = CACHE) -> Path:
    """The folder of an unpacked package; fetched where it is not in the cache, and refused if its hash is another."""
    version, wanted = PINNED[name]
    folder = cache / f"{name}-{version}"
    if (folder / "package.json").is_file():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    archive = packed(f"{name}@{version}", cache)
    if (found := integrity(archive)) != wanted:
        archive.unlink()
        raise SystemExit(f"{name} {version}: the archive has the hash {found}, not {wanted}; it was thrown away")
    partial = cache / f"{name}-{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as content:
        content.extractall(partial, filter="data")
    (partial / "package").rename(folder)
    partial.rmdir()
    archive.unlink()
    return folder


def packed(package: str, cache: Path) -> Path:
    """Let npm download one archive into `cache`; its path."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(f"{package} comes from npm, which is not here: install it (on Debian: apt-get install npm)")
    command = [npm, "pack", package, "--json", "--silent", "--pack-destination", str(cache)]
    done = subprocess.run(command, cwd=cache, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"npm pack {package} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return cache / json.loads(done.stdout)[0]["filename"]
