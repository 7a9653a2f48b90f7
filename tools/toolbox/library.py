"""TensorFlow.js, one file, which npm fetches by name: of this version, with this hash, or not at all."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

from heatproof.writing import write

VERSION = "4.22.0"
INTEGRITY = "sha512-0TrIrXs6/b7FLhLVNmfh8Sah6JgjBPH4mZ8JGb7NU6WW+cx00qK5BcAZxw7NCzxj6N8MRAIfHq+oNbPUNG5VAg=="
MEMBER = "package/dist/tf.min.js"
TRIED = f"npm pack @tensorflow/tfjs@{VERSION}"


def fetched(cache: Path) -> tuple[Path | None, str]:
    """TensorFlow.js in the folder `cache`, and "" where it is there, else why it is not."""
    path = cache / f"tf-{VERSION}.min.js"
    if path.is_file():
        return path, ""
    npm = shutil.which("npm")
    if npm is None:
        return None, f"npm is not installed, so TensorFlow.js {VERSION} could not be fetched"
    cache.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", f"@tensorflow/tfjs@{VERSION}", "--silent"]
    try:
        subprocess.run(command, cwd=cache, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError):
        return None, f"{TRIED} failed: is there a connection to the registry of npm?"
    archive = cache / f"tensorflow-tfjs-{VERSION}.tgz"
    try:
        write(path, unpacked(archive))
    except ValueError as error:
        return None, str(error)
    finally:
        archive.unlink(missing_ok=True)
    return path, ""


def unpacked(archive: Path, integrity: str = INTEGRITY, member: str = MEMBER) -> bytes:
    """The one file of the archive that the pages need. Raises `ValueError` where the archive is another than pinned."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode("ascii")
    if f"sha512-{digest}" != integrity:
        raise ValueError(f"{archive.name}: its hash is sha512-{digest}, not the pinned {integrity}: it is not used")
    with tarfile.open(archive) as packed:
        file = packed.extractfile(member)
        assert file is not None
        return file.read()
