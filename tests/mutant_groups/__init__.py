"""The mutants, room by room, and {name: group} of all: data alone, which imports nothing but itself."""

import importlib
import pkgutil

_NAMES = sorted(found.name for found in pkgutil.iter_modules(__path__))
ROOMS = [room for room in (importlib.import_module(f"{__name__}.{name}") for name in _NAMES) if hasattr(room, "GROUPS")]
GROUPS = {name: group for room in ROOMS for name, group in room.GROUPS.items()}
