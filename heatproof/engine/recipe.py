"""How a model is looked at."""

from dataclasses import dataclass, field, replace

import keras

from heatproof.engine.endings import LOGITS
from heatproof.engine.nests import Nest
from heatproof.engine.rules import Rule
from heatproof.engine.settings import Settings, settings_of
from heatproof.problems import ArgumentValueError


@dataclass(frozen=True)
class Recipe:
    """How a model is looked at: what it ends in, and which rule its ReLUs go back by."""

    base: keras.Model
    shape: tuple  # of one batch of inputs, None where any size will do
    ending: object = LOGITS  # what is explained: see `heatproof.engine.endings`
    rule: Rule | None = None  # how its ReLUs go back; None is the chain rule
    nest: Nest | None = None  # of a model with several inputs: which are explained
    settings: Settings | None = field(default=None, compare=False)  # of the layers, where they were noted

    @property
    def others(self):
        """The specifications of the inputs that are held fixed."""
        return self.nest.others if self.nest else ()

    def arranged(self, inputs, others):
        """What the model takes."""
        return self.nest.arranged(inputs, others) if self.nest else inputs

    def entering(self, inputs, others):
        """(integers as they are fed, what is explained in place of their entry) of each such input."""
        if self.nest is None:
            return []
        parts, fed = self.nest.parts(inputs), dict(zip(self.nest.fed, others, strict=True))
        return [(fed[number], part) for number, part in parts.items() if number in fed]

    def unasked(self):
        """The same, where none of several inputs is explained."""
        return replace(self, nest=replace(self.nest, explained=()), shape=(None, 0)) if self.nest else self

    def explaining(self, only, as_positions=False):
        """The same, where one of several inputs is explained, or all for None; features as positions, if asked."""
        if self.nest is None:
            if only is not None:
                given = f"{only!r}, but the model has one input"
                raise ArgumentValueError("only", given, cure="leave it out")
            return self
        nest = replace(self.nest.only(only), as_positions=as_positions)
        return replace(self, nest=nest, shape=nest.shape)

    def noted(self):
        """The same, with the settings of its layers as they are now: for one question, they are not read again."""
        return replace(self, settings=settings_of(self.base))
