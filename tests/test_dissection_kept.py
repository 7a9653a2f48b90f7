"""A dissection that is stopped goes on from its checkpoint: the same bits, no pass twice, no other question."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import models
import xai_utils as xu
from heatproof.bytecode import of_class
from heatproof.engine.counting import counting
from heatproof.engine.places import Place
from heatproof.inside import checkpoints

COUNT, PART = 24, 4
TASK = {"quantile": 0.02, "draws": 6, "batch_size": PART}


def network(factor=1.0, strides=2):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(5, 3, strides=strides, name="units")(inputs)
    x = layers.Conv2D(4, 3, name="other")(x)
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    model.set_weights([factor * weight for weight in model.get_weights()])
    return model


MODEL, CONCEPTS = network(), xu.concept_pictures(COUNT, seed=3, size=16)
IMAGES = CONCEPTS.images


def ask(folder=None, model=MODEL, layer="units", inputs=IMAGES, concepts=CONCEPTS, **changes):
    return xu.dissect(model, layer, inputs, concepts, folder=folder, **TASK | changes)


def same(one, other):
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    for name in ("iou", "ceiling", "thresholds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def stopped(monkeypatch, folder, after, **question):
    """A run that is interrupted when its next batch is asked for, after so many."""
    asked, activation = [], Place.activation

    def until(place, items=None):
        if len(asked) == after:
            raise KeyboardInterrupt
        asked.append(items)
        return activation(place, items)

    with monkeypatch.context() as patch:
        patch.setattr(Place, "activation", until)
        with pytest.raises(KeyboardInterrupt):
            ask(folder, **question)


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("after", range(2 * COUNT // PART))
def test_a_stopped_run_goes_on_with_the_same_bits_and_makes_no_pass_twice(after, batches, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "PAUSE", 0)
    inputs = [IMAGES[start : start + PART] for start in range(0, COUNT, PART)] if batches else IMAGES
    stopped(monkeypatch, tmp_path, after, inputs=inputs)
    with counting() as passes:
        resumed = ask(tmp_path, inputs=inputs)
    assert passes["forwards"] == 2 * COUNT - after * PART
    same(resumed, ask())


def test_a_finished_run_answers_again_without_a_pass_also_other_questions_about_its_counts(tmp_path):
    whole = ask(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dissection.npz"]
    changes = ({}, {"threshold": 0.2}, {"seed": 4}, {"draws": 3}, {"sources": np.arange(COUNT) // 2})
    with counting() as passes:
        again = [ask(tmp_path, **change) for change in changes]
    assert passes["forwards"] == 0
    same(again[0], whole)
    for change, found in zip(changes, again, strict=True):
        same(found, ask(**change))


def test_between_two_checkpoints_there_is_a_pause(tmp_path, monkeypatch):
    """In a short run the end of each pass is kept, and nothing within a pass."""
    stopped(monkeypatch, tmp_path, COUNT // PART - 1)
    assert not list(tmp_path.iterdir())
    stopped(monkeypatch, tmp_path, 2 * COUNT // PART - 1)
    with counting() as passes:
        same(ask(tmp_path), ask())
    assert passes["forwards"] == COUNT + 2 * COUNT, "the second pass, and both of the run without a folder"


def relabelled(name=str, mask=np.asarray):
    """The same concepts under other names, or in other places."""
    masks = {category: {} for category in CONCEPTS.categories}
    for own, category in zip(CONCEPTS.names, CONCEPTS.categories, strict=True):
        masks[category][name(own)] = mask(CONCEPTS.mask(own, category))
    return xu.Concepts(IMAGES, masks, one_label=tuple(masks))


OTHERS = {
    "model": {"model": network(1.5)},
    "model, built otherwise": {"model": network(strides=1)},
    "layer": {"layer": "other"},
    "concepts": {"concepts": relabelled(mask=lambda mask: mask[:, :, ::-1])},
    "concepts, of other names": {"concepts": relabelled(name=str.upper)},
    "quantile": {"quantile": 0.03},
    "batch_size": {"batch_size": 8},
    "draws": {"draws": 0},
    "inputs": {"inputs": IMAGES[::-1]},
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("after", [2, 8])
def test_a_checkpoint_of_another_question_is_refused_by_name(what, after, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "PAUSE", 0)
    stopped(monkeypatch, tmp_path, after)
    kept = (tmp_path / "dissection.npz").read_bytes()
    name = what.partition(",")[0]
    with (
        counting() as passes,
        pytest.raises(ValueError, match=rf"folder: got .*differs in its {name}[,.].* Cure: name"),
    ):
        ask(tmp_path, **OTHERS[what])
    assert passes["forwards"] == 0 and (tmp_path / "dissection.npz").read_bytes() == kept


def test_a_checkpoint_of_other_code_is_refused(tmp_path, monkeypatch):
    ask(tmp_path)
    monkeypatch.setattr(checkpoints, "VERSIONS", ("0.0",))
    with pytest.raises(ValueError, match="differs in its code"):
        ask(tmp_path)


def test_inputs_that_are_cut_otherwise_are_not_counted_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "PAUSE", 0)
    stopped(monkeypatch, tmp_path, 2, inputs=[IMAGES[:4], IMAGES[4:8], IMAGES[8:]])
    for inputs in ([IMAGES[:6], IMAGES[6:]], [IMAGES[:3], IMAGES[3:]]):
        with pytest.raises(ValueError, match="differs in its inputs, or in their division into batches"):
            ask(tmp_path, inputs=inputs)


class Changing:
    """Batches that differ each time they are gone through."""

    def __init__(self):
        self.times = 0

    def __iter__(self):
        self.times += 1
        yield IMAGES + np.float32(0.001 * self.times) * (np.arange(COUNT) > 20)[:, None, None, None]


def test_inputs_that_are_others_in_the_second_pass_are_refused_where_a_checkpoint_tells(tmp_path):
    with pytest.raises(ValueError, match="inputs: got others in the second pass than in the first"):
        ask(tmp_path, inputs=Changing())
    assert ask(inputs=[IMAGES]).table["iou"].max() > 0


def test_a_checkpoint_that_cannot_be_read_is_refused_with_the_cure(tmp_path):
    ask(tmp_path)
    path = tmp_path / "dissection.npz"
    whole = path.read_bytes()
    for damaged in (b"", b"PK\x03\x04", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"folder: got .*dissection\.npz, which cannot be read .* Cure: delete"):
            ask(tmp_path)
    np.savez(path, T=np.zeros(3))
    with pytest.raises(ValueError, match="cannot be read"):
        ask(tmp_path)


def test_a_checkpoint_that_cannot_be_written_says_so_and_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "PAUSE", 0)
    stopped(monkeypatch, tmp_path, 2)
    kept = (tmp_path / "dissection.npz").read_bytes()

    def full(*arguments, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"folder: .*dissection\.npz could not be written .*what was there is unchanged"):
        ask(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dissection.npz"]
    assert (tmp_path / "dissection.npz").read_bytes() == kept


def test_a_model_of_a_class_of_its_own_is_kept_apart_by_its_weights(tmp_path):
    class Own(keras.Model):
        def __init__(self, factor):
            super().__init__()
            self.units = layers.Conv2D(3, 3, name="units")
            self.factor = factor

        def get_config(self):
            raise NotImplementedError

        def call(self, inputs):
            return keras.ops.mean(self.units(inputs), axis=(1, 2))

    own = Own(1)
    own.build((None, 16, 16, 3))
    models.randomised(own)
    first = ask(tmp_path, model=own)
    same(ask(tmp_path, model=own), first)
    own.set_weights([2 * weight for weight in own.get_weights()])
    with pytest.raises(ValueError, match="differs in its model"):
        ask(tmp_path, model=own)


class Bend(layers.Layer):
    def call(self, inputs):
        return keras.ops.relu(inputs)


def other_bend():
    """Another class of the same name, whose call does another thing."""

    class Bend(layers.Layer):
        def call(self, inputs):
            return keras.ops.tanh(inputs)

    Bend.__qualname__ = "Bend"
    return Bend


def test_a_layer_of_a_class_of_its_own_is_kept_apart_by_its_code(tmp_path):
    """Equal names, weights and settings; what `call` does is another thing."""

    def built(kind):
        parts = [layers.Conv2D(5, 3, name="first"), kind(name="bend"), layers.GlobalAveragePooling2D(name="mean")]
        parts = [keras.Input((16, 16, 3), name="picture"), *parts, layers.Dense(2, name="two")]
        return models.randomised(keras.Sequential(parts, name="whole"))

    first = ask(tmp_path, model=built(Bend), layer="bend")
    same(ask(tmp_path, model=built(Bend), layer="bend"), first)
    with pytest.raises(ValueError, match="differs in its model"):
        ask(tmp_path, model=built(other_bend()), layer="bend")


def scaled(factor, **parts):
    """A class whose methods are told its numbers in one of the ways that Python has."""

    def call(self, inputs):
        return inputs * factor

    return type("Scaled", (layers.Layer,), {"call": call} | parts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (scaled(2.0), scaled(3.0)),  # enclosed
        (scaled(1.0, slope=0.1), scaled(1.0, slope=0.2)),  # an attribute
        (scaled(1.0, sides=(1, 2)), scaled(1.0, sides=(2, 1))),
        (scaled(1.0, bend=lambda self, x, by=2: x), scaled(1.0, bend=lambda self, x, by=3: x)),  # a default
        (scaled(1.0, bend=lambda self, *, by=2: by), scaled(1.0, bend=lambda self, *, by=3: by)),
        (scaled(1.0, bend=staticmethod(lambda x: x + 1)), scaled(1.0, bend=staticmethod(lambda x: x + 2))),
        (scaled(1.0, bend=classmethod(lambda c, x: x + 1)), scaled(1.0, bend=classmethod(lambda c, x: x + 2))),
        (scaled(1.0, bend=property(lambda self: 1)), scaled(1.0, bend=property(lambda self: 2))),
    ],
    ids=["enclosed", "attribute", "tuple", "default", "keyword", "static", "class", "property"],
)
def test_what_a_class_says_is_told_by_all_that_it_computes_with(one, other):
    assert of_class(one) != of_class(other)


def test_what_a_class_says_is_alike_in_every_process():
    """Neither the place in memory of what it holds nor the class's own name is part of it."""
    one, other = (scaled(1.0, holds=(object(), object()), names=frozenset("abc")) for _ in range(2))
    assert of_class(one) == of_class(other) and "0x" not in of_class(one)


def test_a_model_that_tells_no_configuration_is_kept_apart_by_the_code_that_it_inherits(tmp_path):
    def built(sign):
        class Ancestor(keras.Model):
            def get_config(self):
                raise NotImplementedError

        def plus(self, inputs):
            return keras.ops.mean(self.units(inputs), axis=(1, 2))

        def minus(self, inputs):
            return -keras.ops.mean(self.units(inputs), axis=(1, 2))

        Ancestor.call = plus if sign > 0 else minus

        class Own(Ancestor):
            def __init__(self):
                super().__init__(name="own")
                self.units = layers.Conv2D(3, 3, name="units")

        own = Own()
        own(IMAGES[:1])
        return models.randomised(own)

    first = ask(tmp_path, model=built(1))
    same(ask(tmp_path, model=built(1)), first)
    with pytest.raises(ValueError, match="differs in its model"):
        ask(tmp_path, model=built(-1))
