"""Files of a zip or a folder, read without trusting them, and the cache of what was decoded from them."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from heatproof.writing import replacing

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
IMAGE_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")  # PIL knows more, and runs another program to read some
IMAGE_BYTES = 10_000_000  # what one image of a zip may unpack to


class Source:
    """The files of a zip or of a folder, or one plain file, read in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.zip = None
        if path.suffix == ".zip":
            try:
                self.zip = zipfile.ZipFile(path)
            except zipfile.BadZipFile as error:
                raise ValueError(f"{path} is not a complete zip ({error}); fetch it again") from error
            members = [item.filename for item in self.zip.infolist() if not item.is_dir()]
            unsafe = [name for name in members if _leaves_its_folder(name)]
            if unsafe:
                raise ValueError(f"{path} holds {unsafe[0]!r}, a path out of its folder; such a zip is not read")
        elif path.is_dir():
            members = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        else:
            members = [path.name]
        self.names = sorted(members)
        self.images = [name for name in self.names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        if self.zip:
            self.zip.close()

    def _file(self, name: str) -> Path:
        return self.path / name if self.path.is_dir() else self.path

    def read(self, name: str, limit: int) -> bytes:
        """One file; from a zip never more than ``limit`` bytes, whatever size the zip declares."""
        if not self.zip:
            return self._file(name).read_bytes()
        member = self.zip.getinfo(name)
        if member.file_size > limit:
            raise ValueError(f"it would unpack to {member.file_size:,} bytes; allowed are {limit:,}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
            raise ValueError(f"it is compressed by method {member.compress_type}; allowed are 0 (stored), 8 (deflated)")
        with self.zip.open(member) as stream:
            return stream.read(member.file_size)

    def decode(self, names: Sequence[str], mode: str, shape: tuple[int, int]) -> np.ndarray:
        """The images as one uint8 array; ``mode`` is PIL's, "L" or "RGB"."""
        images = np.empty((len(names), *shape, *([3] if mode == "RGB" else [])), dtype=np.uint8)
        for place, name in enumerate(names):
            try:
                with Image.open(io.BytesIO(self.read(name, IMAGE_BYTES)), formats=IMAGE_FORMATS) as image:
                    found = image.size[::-1]
                    if found == shape:  # nothing larger is decoded
                        images[place] = np.asarray(image.convert(mode))
            except Exception as error:  # a damaged zip or image fails in many ways
                raise ValueError(f"{self.path}: {name} is not a readable image ({error}); fetch it again") from error
            if found != shape:
                raise ValueError(f"{self.path}: {name} is {found} pixels; needed are {shape}; fetch it again")
        return images

    def fingerprint(self) -> str:
        """Changes when a file is added, removed, renamed or rewritten (by size and time of change)."""
        files = [self.path] if not self.path.is_dir() else [self._file(name) for name in self.names]
        facts = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(repr((facts, self.names)).encode()).hexdigest()[:16]


def _leaves_its_folder(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or ":" in parts[0]


def cached(
    folder: Path, name: str, files: Source, names: Sequence[str], decode: Callable[[], np.ndarray]
) -> np.ndarray:
    """The decoded images, read from the folder of the cache when they were decoded from the same source before."""
    path = folder / f"{name}-{files.fingerprint()}.npy"
    if path.is_file():
        try:
            images = np.load(path, mmap_mode="r", allow_pickle=False)
            if images.shape[:1] == (len(names),):
                return images
        except (OSError, ValueError, EOFError):
            pass  # a damaged cache is written anew
    images = decode()
    try:
        with replacing(path) as (partial,):
            np.save(partial, images)
        for other in folder.glob(f"{name}-*.npy"):
            if other != path:
                other.unlink(missing_ok=True)
    except OSError:
        pass  # no room or no right to write: decode again next time
    return images
