"""The exercises of the notebooks: their own cells accept a right answer and refuse a wrong one.

The cells are read from the notebooks, so a check that changes there is tested here.
"""

from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest

import mnist1d_utils as m1
import xai_utils as xu

ROOT = Path(__file__).resolve().parent.parent

# ---- 07_mnist1d


@pytest.fixture(scope="module")
def mnist1d():
    """What the cells before the exercises of chapter 07 leave behind."""
    model = xu.load_model(ROOT / "models" / "mnist1d.keras")
    data = m1.load_pickle(ROOT / "data" / "MNIST1D.pkl")
    x, y = m1.split(data, "test")
    predicted = np.argmax(model(x), axis=1)
    head = model.get_layer("probabilities")
    return {"np": np, "xu": xu, "m1": m1, "data": data, "model": model, "head": head} | {
        "x": x, "y": y, "predicted": predicted
    }  # fmt: skip


def mnist1d_exercise(capsys, names, number, solution):
    """What the cell of an exercise prints when `solution` stands in place of None."""
    cells = nbformat.read(ROOT / "notebooks" / "07_mnist1d.ipynb", as_version=4).cells
    (cell,) = [cell for cell in cells if f"exercise-{number}" in cell.metadata.get("tags", [])]
    assert cell.source.count("answer = None") == 1
    exec(cell.source.replace("answer = None", solution), dict(names))
    return capsys.readouterr().out.strip()


MNIST1D_SOLUTIONS = {
    1: """
maps = [xu.integrated_gradients(model, x[wrong], c, steps=1000) for c in (said, true)]
answer = (maps[0] - maps[1])[0, :, 0]
""",
    2: """
A = np.asarray(features(x))
weights = np.asarray(head.kernel).reshape(*A.shape[1:], 10)
answer = np.einsum("ntk,tkn->nt", A, weights[..., predicted])
""",
    3: """
answer = xu.integrated_gradients(model, x[:50], predicted[:50], baseline=list(starts), steps=100)
""",
}
MNIST1D_WRONG = {
    1: "answer = xu.integrated_gradients(model, x[wrong], said, steps=1000)[0, :, 0]",
    2: "answer = xu.grad_cam(model, x, predicted, relu=False, upsample=False)",
    3: "answer = xu.integrated_gradients(model, x[:50], predicted[:50], steps=100)",
}


@pytest.mark.parametrize("number", MNIST1D_SOLUTIONS)
def test_mnist1d_exercise(capsys, mnist1d, number):
    features = keras.Model(mnist1d["model"].input, mnist1d["model"].get_layer("conv3").output)
    names = mnist1d | {"features": features}
    assert mnist1d_exercise(capsys, names, number, "answer = None") == "not attempted"
    assert mnist1d_exercise(capsys, names, number, MNIST1D_SOLUTIONS[number]).endswith(": True")
    assert mnist1d_exercise(capsys, names, number, MNIST1D_WRONG[number]).endswith(": False")


def test_mnist1d_reading_of_exercises(mnist1d):
    """What a reader finds: keeping positions does not mend Grad-CAM here, and a noise baseline costs mass."""
    model, x, predicted, head = (mnist1d[key] for key in ("model", "x", "predicted", "head"))
    mask = m1.evidence_masks(mnist1d["data"])[1]
    A = np.asarray(keras.Model(model.input, model.get_layer("conv3").output)(x))
    kept = np.einsum("ntk,tkn->nt", A, np.asarray(head.kernel).reshape(*A.shape[1:], 10)[..., predicted])
    places = 4 * np.arange(10) + 1.5
    kept = np.stack([np.maximum(np.interp(np.arange(40), places, row), 0) for row in kept])
    averaged = xu.relevance("grad_cam", xu.grad_cam(model, x, predicted))
    assert abs(xu.evidence_mass(kept, mask).mean() - xu.evidence_mass(averaged, mask).mean()) < 0.05
    starts = [*m1.split(mnist1d["data"], "train")[0][:5]]
    noise, zero = (
        xu.relevance("integrated_gradients", xu.integrated_gradients(model, x[:50], baseline=b, steps=50))
        for b in (starts, "zero")
    )
    assert xu.evidence_mass(noise, mask[:50]).mean() < xu.evidence_mass(zero, mask[:50]).mean() - 0.1


# ---- 06_integrated_gradients


def integrated_gradients_exercise(capsys, number, solution):
    """What the cell of an exercise prints when `solution` stands in place of None; the cells need numpy alone."""
    cells = nbformat.read(ROOT / "notebooks" / "06_integrated_gradients.ipynb", as_version=4).cells
    (cell,) = [cell for cell in cells if f"def check_{number}(" in cell.source]
    assert cell.source.count("answer = None") == 1
    exec(cell.source.replace("answer = None", f"answer = {solution}"), {"np": np})
    return capsys.readouterr().out.strip()


# Exercise 1: x1 = 1 + 2a, x2 = 4a, so M1 = 2 int 4a da = 4 and M2 = 4 int (1 + 2a) da = 8; together 12 = f(x) - f(x').
# Exercise 2: n midpoints of 3 x^2 give 1 - 1 / (4 n^2); two Gauss-Legendre points are exact up to degree 3.
# Exercise 3: the share is 1 - f(x'), so f(x') = -2 at x' = -2, and f(x') = 1 from x' = 1 on.
INTEGRATED_GRADIENTS_ANSWERS = {
    1: ("(4, 8)", ["(6, 6)", "(8, 4)", "(12, 0)"]),
    2: ("(16, 2)", ["(15, 2)", "(16, 1)", "(17, 2)"]),
    3: ("(-2, 1)", ["(-3, 1)", "(-2, 2)", "(-2, 1.5)"]),
}


@pytest.mark.parametrize("number", INTEGRATED_GRADIENTS_ANSWERS)
def test_integrated_gradients_exercise(capsys, number):
    right, wrong = INTEGRATED_GRADIENTS_ANSWERS[number]
    assert integrated_gradients_exercise(capsys, number, "None") == "not attempted"
    assert integrated_gradients_exercise(capsys, number, right) == "True"
    assert {integrated_gradients_exercise(capsys, number, answer) for answer in wrong} == {"False"}
