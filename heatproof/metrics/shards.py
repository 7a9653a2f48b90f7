"""How a question travels to a worker, and where the answers are kept."""

import hashlib
import inspect
import json
import pickle
from dataclasses import replace
from functools import lru_cache

import numpy as np

from heatproof.engine.views import recipe_of
from heatproof.methods.catalogue import METHODS
from heatproof.metrics.catalogue import BASELINES
from heatproof.writing import write

# ----------------------------------------------------------------------------------------------------------- shards


class Carrier:
    """The model of a run: itself in this process; in another one revived once from its bytes."""

    def __init__(self, model):
        self.model, self.data = model, None

    def pack(self):
        """Make the bytes; raises `TypeError` for a model that cannot become bytes and come back."""
        try:
            data = pickle.dumps((self.model, getattr(self.model, "input_range", None)))
            pickle.loads(data)
            self.data = data
        except Exception as error:
            raise TypeError(
                f"model: it cannot be sent to other processes ({error}). Cure: pass a functional or Sequential model, "
                "or call evaluate outside joblib.parallel_config."
            ) from error

    def __reduce__(self):
        if self.data is None:
            self.pack()
        return _revived, (self.data,)


@lru_cache(maxsize=2)
def _revived(data):
    model, model_range = pickle.loads(data)
    model.input_range = model_range
    return Carrier(model)


class Store:
    """Finished shards on disk, each under a name that says which question it answers; no folder, no store."""

    def __init__(self, folder, model, whole):
        self.folder = folder
        if self.folder is None:
            return
        settings = replace(whole.settings, options={})
        weights = [np.asarray(weight) for weight in recipe_of(model).base.get_weights()]
        arrays = [whole.inputs, whole.targets, whole.full, *weights, *([] if whole.masks is None else [whole.masks])]
        self.question = hashlib.sha256(repr(settings).encode())
        for array in arrays:
            self.question.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())

    def _path(self, shard):
        key = self.question.copy()
        source = inspect.getsource(BASELINES.get(shard.name) or METHODS[shard.name].function)
        key.update(f"{shard.name} {shard.options!r} {shard.items[0]} {source}".encode())
        return self.folder / f"{shard.name}-{shard.items[0]:06d}-{key.hexdigest()[:16]}.json"

    def read(self, shard):
        if self.folder is None or not self._path(shard).exists():
            return None
        return json.loads(self._path(shard).read_text(encoding="utf-8"))

    def write(self, shard, rows):
        if self.folder is None:
            return
        write(self._path(shard), json.dumps(rows), argument="folder")
