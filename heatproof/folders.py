"""Where files lie: data sets, caches and figures, in a checkout of the repository and where the package is installed.

A checkout is a folder with this package and this project's ``pyproject.toml`` side by side.

==================  ====================================  ==========================================
what                in a checkout                         installed
==================  ====================================  ==========================================
data sets           ``XAI_DATA``, or ``data``             ``XAI_DATA``, or the user's cache folder
what is decoded     ``data/cache``                        ``cache`` in the user's cache folder
figures and values  ``XAI_REPORT_DIR``, or a temporary    ``XAI_REPORT_DIR``, or the working folder
                    folder
a relative path     counts from the checkout              counts from the working folder
==================  ====================================  ==========================================
"""

import os
import tempfile
import tomllib
from pathlib import Path

import platformdirs

NAME = "heatproof"


def checkout_at(folder: Path) -> Path | None:
    """Return ``folder`` if its ``pyproject.toml`` is this project's, otherwise None."""
    try:
        settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or none that can be read
        return None
    return folder if settings.get("project", {}).get("name") == NAME else None


CHECKOUT = checkout_at(Path(__file__).resolve().parents[1])


def data_folder() -> Path:
    """The folder of data sets."""
    return _named("XAI_DATA", _home())


def cache_folder() -> Path:
    """The folder of what was decoded from data sets; it can be deleted at any time."""
    return _home() / "cache"


def report_folder() -> Path:
    """The folder below which figures, values and tables are written."""
    temporary = Path(tempfile.gettempdir()) / f"xai_report_{Path.home().name}"
    return _named("XAI_REPORT_DIR", temporary if CHECKOUT else Path())


def _home() -> Path:
    return CHECKOUT / "data" if CHECKOUT else platformdirs.user_cache_path(NAME, appauthor=False)


def _named(variable: str, default: Path) -> Path:
    """The folder that an environment variable names; unset or empty, the default."""
    return (CHECKOUT or Path.cwd()) / Path(os.environ.get(variable) or default).expanduser()
