"""Every method on three networks of Keras beside an oracle in float64, and the page of all fourteen.

In float64 both sides compute alike; what is left is the rounding of maps and of the masks that the package keeps in
float32, 6e-8 of a value. In float32 each layer rounds by as much, and some hundred layers add up to 1e-5. Where the
input of a ReLU lies that near to 0, the unit opens or shuts and the gradient jumps, which no bound holds for; there
the map is as far from float64 as that of a plain tape in float32.
"""

import json

import numpy as np
import pytest
import zoo
import zoo_oracles
import zoo_table

BOUNDS = {"float64": 2e-6, "float32": 1e-4}
NETWORKS = ("MobileNetV3Small", "EfficientNetB0", "ResNet50")
WITH_RELU = {"MobileNetV3Small", "ResNet50"}  # which rounding opens and shuts, so that gradients jump
JUMP = (*zoo_oracles.GRADIENTS, "guided_grad_cam")


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_every_method_gives_the_map_of_the_formula(network):
    found = zoo_table.compared(network)
    assert list(found) == [*zoo_table.METHODS, zoo_table.TAPE]
    far = {
        (name, dtype): value
        for name, values in found.items()
        for dtype, value in values.items()
        if name != zoo_table.TAPE and value is not None and not value <= BOUNDS[dtype]
        if not (dtype == "float32" and network in WITH_RELU and name in JUMP)
    }
    assert far == {}
    assert found["saliency"]["float32"] <= max(3 * found[zoo_table.TAPE]["float32"], 1e-5)


def test_the_page_of_the_networks_is_what_its_notes_render_to():
    notes = json.loads(zoo_table.NOTES.read_text())
    assert list(notes["networks"]) == list(zoo.NAMES)
    assert zoo_table.PAGE.read_text() == zoo_table.page(notes)
    values = [values for found in notes["networks"].values() for values in found.values()]
    assert all(np.isfinite(value) for each in values for value in each.values() if value is not None)
    assert max(each.get("float64") or 0 for each in values) < 5e-6
    assert notes["settings"]["code"] == zoo_table.settings()["code"], "python -m tools networks"


def test_a_difference_is_that_of_the_worst_map():
    true = np.array([[1.0, -2.0], [0.0, 0.0]])
    assert zoo_table.difference(true, true) == 0
    assert zoo_table.difference(true + [[0, 0.5], [0, 0]], true) == 0.25
    assert zoo_table.difference(true + [[0, 0.5], [0, 1]], true) == 1 / zoo_table.LEAST
