"""What a newcomer writes who follows the recipes of CONTRIBUTING.md, one step for each row; and the same done wrong.

Nothing here imports TensorFlow or the package: what is written runs in a copy of the repository, in new processes.
"""

import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import walking


@dataclass(frozen=True)
class Step:
    """`write(path)` does what a row says to its file; `spoil(path)` makes that wrong, None: it is left out."""

    file: str
    write: Callable
    spoil: Callable | None = None


def put(text):
    """Write a whole file."""
    return lambda path: path.write_text(text, encoding="utf-8")


def after(anchor, text):
    """Insert a text behind one that occurs once."""
    return change(anchor, anchor + text)


def before(anchor, text):
    return change(anchor, text + anchor)


def change(old, new):
    def write(path):
        whole = path.read_text(encoding="utf-8")
        assert whole.count(old) == 1, f"{path.name}: {whole.count(old)} times {old!r}"
        path.write_text(whole.replace(old, new), encoding="utf-8")

    return write


def append(text):
    return lambda path: path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def both(*writes):
    """One change after the other."""
    return lambda path: [write(path) for write in writes]


# ---- what the makers of the repository write, each in a process of its own


def make_readme(root):
    from tools import readme

    readme.refresh()


def make_metric_page(root):
    """The last step of `make parity`; those before it ask the other libraries, which are not here."""
    from tools import metric_parity
    from tools.peers import comparing

    metric_parity.PAGE.write_text(metric_parity.page(comparing.read(metric_parity.TABLE)), encoding="utf-8")


def train(root, name):
    sys.argv = ["models/train.py", name]
    try:
        runpy.run_path("models/train.py", run_name="__main__")
    except SystemExit as ended:
        assert ended.code == 0, ended.code


def execute(root, name):
    """What `make edition` does to one notebook."""
    from tools import notebooks

    path = Path(root, "notebooks", f"{name}.ipynb")
    notebooks.execute(path)
    path.write_bytes((notebooks.BUILD / path.name).read_bytes())


def by(maker, *arguments):
    """What a maker writes, `maker(root, *arguments)`, in a new process that works in the copy."""

    def write(path):
        root = next(folder for folder in path.parents if (folder / "pyproject.toml").is_file())
        walking.ask(root, maker, *arguments)

    return write


def keep(path):
    """A step before has written the file."""
    assert path.is_file()


MAKE_README = Step("README.md", by(make_readme))

# ---- a method: the gradient times the contrast of the input

METHOD = "gradient_x_contrast"
GRADIENT_X_CONTRAST = '''

def gradient_x_contrast(model, inputs, targets=None, *, score=LOGIT, activation=None, batch_size=BATCH_SIZE):
    """The first-order share of what each value adds to the mean of its input.

    M = (x - mean x) * dS_c/dx, the mean over all values of an input. A linear model's sum is S_c(x) - S_c(mean x).
    Source: Newcomer 2026.
    """
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    mean = query.inputs.mean(axis=tuple(range(1, query.inputs.ndim)), keepdims=True)
    return ((query.inputs - mean) * query.gradient()).astype(np.float32)
'''
METHOD_ROW = """\
    Method(
        function=gradients.gradient_x_contrast, title="Gradient x contrast", family="gradients", output="inputs",
        formula="(x - mean x) * dS_c/dx", reference="newcomer2026",
    ),
"""
METHOD_TEST = """

def test_gradient_x_contrast_of_a_linear_model_is_w_times_the_contrast():
    model = models.linear()
    inputs = models.examples(model)
    wanted = models.linear_weights(model)[TARGETS] * (inputs - inputs.mean(axis=(1, 2, 3), keepdims=True))
    assert relative_error(xu.gradient_x_contrast(model, inputs, TARGETS), wanted) < 1e-5
"""
PAPER = "\n@article{newcomer2026,\n  author  = {New Comer},\n  title   = {A Toy},\n  year    = {2026},\n}\n"
ORACLE = """\
    if name == "gradient_x_contrast":
        return (x - x.mean(axis=tuple(range(1, x.ndim)), keepdims=True)) * gradient(x)
"""
METHOD_MUTANTS = """\
    "gradient_x_contrast": group(
        "test_gradients.py", "test_gradient_x_contrast",
        (GRADIENTS, "((query.inputs - mean) * query.gradient())", "((query.inputs + mean) * query.gradient())"),
    ),
"""
ADD_A_METHOD = (
    Step(
        "heatproof/methods/gradients.py",
        append(GRADIENT_X_CONTRAST),
        change("(query.inputs - mean) * query.gradient()", "(mean - query.inputs) * query.gradient()"),
    ),
    Step(
        "heatproof/methods/catalogue.py",
        before("    Method(\n        function=cam.cam,", METHOD_ROW),
        change('title="Gradient x contrast", ', 'signed=False, title="Gradient x contrast", '),
    ),
    Step(
        "xai_utils.py",
        both(
            after("    gradient_x_input,\n", f"    {METHOD},\n"),
            before('    "gradient_x_input",\n', f'    "{METHOD}",\n'),
        ),
    ),
    Step("report/references.bib", append(PAPER)),
    Step(
        "tests/shapes.py",
        both(
            before('    if name == "smooth_grad":\n', ORACLE),
            before('    "smooth_grad": ("G",', f'    "{METHOD}": ("G", "contrast times dS_c/dx"),\n'),
        ),
    ),
    Step("tests/test_gradients.py", append(METHOD_TEST)),
    Step(
        "tests/mutant_groups/gradients.py",
        before('    "smooth_grad": group(\n', METHOD_MUTANTS),
        change('"((query.inputs - mean) * query.gradient())"', '"(query.inputs - mean) * gradient"'),
    ),
    MAKE_README,
)

# ---- a metric: the share of the evidence that gets any relevance

METRIC = "evidence_touched"
EVIDENCE_TOUCHED = '''

def evidence_touched(relevance, mask):
    """The share of the evidence that gets any relevance at all.

    t = |{p in mask: R(p) > 0}| / |mask|, in [0, 1]; NaN for an empty mask. Returns (N,). Raises as `evidence_mass`.
    """
    relevance, mask = _flat(relevance, mask)
    with np.errstate(invalid="ignore"):
        return ((relevance > 0) & mask).sum(axis=1) / mask.sum(axis=1)
'''
METRIC_TEST = '''

def test_evidence_touched_by_hand():
    """All of two, one of two, none; of no evidence there is no share."""
    mask = np.array([[True, True, False]] * 3)
    relevance = np.array([[1.0, 2, 0], [0, 3, 5], [0, 0, 4]])
    np.testing.assert_allclose(xu.evidence_touched(relevance, mask), [1, 0.5, 0])
    assert np.isnan(xu.evidence_touched(relevance, mask & False)).all()
'''
METRIC_ROW = """\
    Metric(
        name="evidence_touched",
        measure=lambda case: localisation.evidence_touched(case.relevance, case.masks),
        better="high",
        needs_masks=True,
    ),
"""
NO_PEER = '    "evidence_touched": "no library of these has it; worked by hand in `tests/test_metrics.py`",\n'
FACE_METRICS = "average_precision, evidence_mass, "
ADD_A_METRIC = (
    Step("tests/test_metrics.py", append(METRIC_TEST)),
    Step(
        "heatproof/metrics/localisation.py",
        append(EVIDENCE_TOUCHED),
        change("/ mask.sum(axis=1)\n", "/ mask.shape[1]\n"),
    ),
    Step("heatproof/metrics/catalogue.py", before('    Metric(\n        name="completeness_gap",', METRIC_ROW)),
    Step(
        "xai_utils.py",
        both(
            change(FACE_METRICS, FACE_METRICS + "evidence_touched, "),
            after('    "evidence_mass",\n', f'    "{METRIC}",\n'),
        ),
    ),
    Step(
        "tests/test_bad_arguments.py",
        change('"rank_accuracy", "average_precision")', f'"rank_accuracy", "average_precision", "{METRIC}")'),
    ),
    Step("tools/peers/metric_comparisons.py", after("NO_PEER = {\n", NO_PEER)),
    Step("docs/metric_parity.md", by(make_metric_page)),
    Step(
        "tests/mutant_groups/metrics.py",
        after(
            '        "test_metrics.py", "",\n', '        (LOCALISATION, "(relevance > 0) & mask", "relevance > 0"),\n'
        ),
        change('"(relevance > 0) & mask"', '"(relevance > 1) & mask"'),
    ),
)

# ---- a network: that of MNIST-1D, after one epoch

NETWORK = "mnist1d_hasty"
TITLE = '    "    \\"mnist1d\\": \\"MNIST-1D\\",\\n",\n'
ADD_A_NETWORK = (
    Step("models/train.py", after("NETWORKS = {\n", f'    "{NETWORK}": _mnist1d("flatten", epochs=1, seed=9),\n')),
    Step(f"models/{NETWORK}.keras", by(train, NETWORK)),
    Step(
        f"models/{NETWORK}.json",
        keep,
        change('"name": "mnist1d_hasty"', '"name": "mnist1d_hasty", "classes": 11'),
    ),
    MAKE_README,
    Step("notebooks/00_the_networks.ipynb", after(TITLE, TITLE.replace("mnist1d", NETWORK))),
)

# ---- a data set: bars, upright or level

DATA_SET = "stripes"
STRIPES = '''\
"""Stripes: pictures of upright and of level bars, read from stripes.npz."""

import numpy as np

from heatproof.data.pictures import as_dataset, check_part, find


def load_stripes(part="test"):
    """The stripes of a part, "train", "test" or "all": grey images of 8 x 8 pixels in [0, 1]; 0 is upright, 1 level.

    Raises `FileNotFoundError` where stripes.npz is absent, `ValueError` for an unknown part.
    """
    check_part(part, ("train", "test"))
    path = find(("stripes.npz",), "stripes", "ask their author for stripes.npz and put it there")
    with np.load(path, allow_pickle=False) as file:
        chosen = (file["part"] == part) | (part == "all")
        images, labels = file["pixels"][chosen] / np.float32(255), file["labels"][chosen]
    names = tuple(f"stripes_{place:02d}" for place in np.flatnonzero(chosen))
    return as_dataset(images[..., None], labels, ("upright", "level"), names, "drawn for a test", "CC0")
'''
DATA_TEST = """

def test_stripes_reads_every_layout_alike(folder):
    from heatproof.data import stripes

    bars = np.tile(np.array([0, 51], np.uint8), (8, 4))
    parts = np.array(["test", "train"])
    np.savez(folder / "stripes.npz", pixels=np.stack([bars, bars.T]), labels=[0, 1], part=parts)
    test = stripes.load_stripes()
    np.testing.assert_allclose(test.images[0, :, :, 0], np.tile([0, 0.2], (8, 4)), rtol=1e-6)
    assert test.labels.tolist() == [0] and stripes.load_stripes("all").labels.tolist() == [0, 1]
"""
ADD_A_DATA_SET = (
    Step("tests/test_datasets.py", append(DATA_TEST)),
    Step("heatproof/data/stripes.py", put(STRIPES), change(" / np.float32(255)", " / np.float32(256)")),
    Step(
        "xai_utils.py",
        both(
            after(
                "from heatproof.data.pictures import load_faces\n",
                "from heatproof.data.stripes import load_stripes\n",
            ),
            after('    "load_photos",\n', '    "load_stripes",\n'),
        ),
    ),
    Step(
        "tests/test_bad_arguments.py",
        after('    "load_hmt": ({}, {"part": PART}),\n', '    "load_stripes": ({}, {"part": PART}),\n'),
    ),
    Step("data/README.md", after("| data set | how to get it |\n|---|---|\n", "| stripes | from their author |\n")),
)

# ---- a chapter: one figure and one number

CHAPTER = "16_stripes"
PROSE = "Two bars, one upright and one level. *Predict.* Which of the two is brighter? *Look.* " * 12
DRAWING = """\
figure, axes = plt.subplots(1, 2)
for axis, bars in zip(axes, (np.eye(2), 1 - np.eye(2)), strict=True):
    axis.imshow(bars, cmap="gray")
xu.save_figure(figure, "16-stripes", "Two pictures of two by two pixels: neither is the brighter one.")
plt.show()"""

EXERCISE = """\
answer = None

print("not attempted" if answer is None else f"off by {abs(answer - np.eye(3).mean()):.2f}")"""


def write_chapter(path):
    """The pages of a new chapter, before they are executed; the set-up cell is that of `make readme`."""
    import nbformat

    cell, note = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    cells = [
        note("# 16 · Stripes: which is brighter?\n\n**Aim.** This chapter compares two pictures. It ends in a number."),
        cell(""),
        note(PROSE),
        cell(DRAWING),
        cell('print(f"both {np.eye(2).mean():.1f}")'),
        note("*Read.* Both are half white."),
        note(f"[Solutions](solutions/{CHAPTER}.ipynb).\n\n**Exercise 1.** What share of three by three is white?"),
        cell(EXERCISE),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    by(make_readme)(path)


def write_solutions(path):
    import nbformat

    text = "# 16 · Solutions\n\n## Exercise 1: a share\n\nThe task: count. Three of nine pixels are white."
    cell = nbformat.v4.new_code_cell("answer = 3 / 9", metadata={"tags": ["exercise-1"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), cell]), path)


def of_cells(spoil):
    """A change of the cells of a notebook."""

    def write(path):
        import nbformat

        notebook = nbformat.read(path, as_version=4)
        spoil([each for each in notebook.cells if each.cell_type == "code"])
        nbformat.write(notebook, path)

    return write


def _without_text(code):
    for output in code[1].outputs:
        output.get("metadata", {}).clear()


def _not_run(code):
    code[-1].execution_count = None


FILE = f"notebooks/{CHAPTER}.ipynb"
ADD_A_CHAPTER = (
    Step(FILE, write_chapter, of_cells(lambda code: code[0].update(source="import numpy as np"))),
    Step(FILE, keep, of_cells(lambda code: code[1].update(source="\n".join(["np.eye(2)"] * 21)))),
    Step(FILE, by(execute, CHAPTER), of_cells(_without_text)),
    Step(FILE, keep, of_cells(_not_run)),
    Step(
        f"notebooks/solutions/{CHAPTER}.ipynb",
        write_solutions,
        of_cells(lambda code: code[0].metadata.update(tags=["exercise-2"])),
    ),
    Step("tests/test_notebook_exercises.py", append("\n# ---- 16_stripes has one exercise\n")),
    Step("report/references.bib", append(PAPER.replace("newcomer", "stripes"))),
    Step("README.md", keep),  # the first step has called `make readme`
)


# ---- what the new things are good for, asked in the copy


def _linear():
    """S = (w.x, -w.x) of signals with four samples, w = (1, -2, 3, 0); one signal, whose mean is 2."""
    import keras
    import numpy as np

    model = keras.Sequential([keras.Input((4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    w = np.array([1.0, -2, 3, 0])
    model.layers[-1].set_weights([np.stack([w, -w], axis=1), np.zeros(2)])
    return model, np.array([4, 0, 2, 2], np.float32).reshape(1, 4, 1)


def _evaluated(method, metric, evidence):
    import numpy as np

    import xai_utils as xu

    model, signal = _linear()
    table = xu.evaluate(model, signal, [0], (method,), (metric,), np.array([evidence], bool))
    return float(table.loc[table["method"] == method, "value"].item())


def use_method(root):
    """w * (x - mean x) = (2, 4, 0, 0), a third of it at the first sample."""
    import xai_utils as xu

    assert xu.gradient_x_contrast(*_linear(), 0)[0, :, 0].tolist() == [2, 4, 0, 0]
    assert abs(_evaluated(METHOD, "evidence_mass", [1, 0, 0, 0]) - 1 / 3) < 1e-6


def use_metric(root):
    """w * x = (4, 0, 6, 0): of the first three samples two get relevance."""
    assert abs(_evaluated("gradient_x_input", METRIC, [1, 1, 1, 0]) - 2 / 3) < 1e-6


def use_network(root):
    """It is right as often as its card says."""
    import mnist1d_utils as m1
    import xai_utils as xu

    inputs, labels = m1.split(m1.load_pickle("data/MNIST1D.pkl"), "test")
    model = xu.load_model(f"models/{NETWORK}.keras")
    right = int((model.predict_on_batch(inputs).argmax(axis=1) == labels).sum())
    assert right == xu.read_card(f"models/{NETWORK}.json")["accuracy"]["test"]["correct"] > 200


def use_data_set(root):
    """It is not here, and says where to get it."""
    import xai_utils as xu

    try:
        xu.load_stripes()
    except FileNotFoundError as absent:
        assert "ask their author" in str(absent)
    else:
        raise AssertionError("absent stripes were loaded")


def use_chapter(root):
    """It prints its number and has made its figure."""
    assert '"both 0.5\\n"' in Path(FILE).read_text(encoding="utf-8")
    assert Path(f"build/notebooks/{CHAPTER}/figures/16-stripes.png").stat().st_size > 1000


@dataclass(frozen=True)
class Recipe:
    """The toy's name, the steps in the order of the rows, and what must then be true in the copy."""

    name: str
    steps: tuple
    use: Callable


RECIPES = {
    "Add a method": Recipe(METHOD, ADD_A_METHOD, use_method),
    "Add a metric": Recipe(METRIC, ADD_A_METRIC, use_metric),
    "Add a network": Recipe(NETWORK, ADD_A_NETWORK, use_network),
    "Add a data set": Recipe(DATA_SET, ADD_A_DATA_SET, use_data_set),
    "Add a chapter": Recipe(CHAPTER, ADD_A_CHAPTER, use_chapter),
}
