"""How a model is looked at."""

from dataclasses import dataclass, field, replace

import keras

from heatproof.engine.endings import LOGITS
from heatproof.engine.rules import Rule
from heatproof.engine.settings import Settings, settings_of


@dataclass(frozen=True)
class Recipe:
    """How a model is looked at: what it ends in, and which rule its ReLUs go back by."""

    base: keras.Model
    shape: tuple  # of one batch of inputs, None where any size will do
    ending: object = LOGITS  # what is explained: see `heatproof.engine.endings`
    rule: Rule | None = None  # how its ReLUs go back; None is the chain rule
    settings: Settings | None = field(default=None, compare=False)  # of the layers, where they were noted

    @property
    def beside(self):
        """The tensors that every program takes beside the inputs, row by row: what the ending is told."""
        return self.ending.beside

    def noted(self):
        """The same, with the settings of its layers as they are now: for one question, they are not read again."""
        return replace(self, settings=settings_of(self.base))
