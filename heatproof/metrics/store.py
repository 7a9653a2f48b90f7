"""Where finished shards are kept: a folder, and a name for each that says which question it answers."""

import dataclasses
import json
from dataclasses import replace

from heatproof.engine.views import recipe_of
from heatproof.metrics.cases import BASELINES
from heatproof.metrics.digest import Digest
from heatproof.writing import write


class Store:
    """Finished shards on disk, each under a name that says which question it answers; no folder, no store.

    The question: network, inputs, settings, the code that answers (see `heatproof.metrics.digest`), the method.
    """

    def __init__(self, folder, whole):
        self.folder, self._methods = folder, {}
        if self.folder is None:
            return
        recipe = recipe_of(whole.model)
        seen = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
        seen |= {"base": recipe.base.get_weights(), "settings": None}
        arrays = [whole.inputs, whole.targets, whole.full, whole.masks, getattr(recipe.base, "input_range", None)]
        self.question = Digest().add(replace(whole.settings, options={}), seen, *arrays)
        self.question.module("heatproof.metrics.shards")

    def _path(self, shard):
        if shard.name not in self._methods:
            row = BASELINES[shard.name] if shard.row is None else shard.row
            self._methods[shard.name] = self.question.copy().add(shard.name, row, shard.options)
        key = self._methods[shard.name].copy().add(shard.items)
        return self.folder / f"{shard.name}-{shard.items[0]:06d}-{key.hexdigest()[:16]}.json"

    def read(self, shard):
        if self.folder is None or not self._path(shard).exists():
            return None
        return json.loads(self._path(shard).read_text(encoding="utf-8"))

    def write(self, shard, rows):
        if self.folder is None:
            return
        write(self._path(shard), json.dumps(rows), argument="folder")
