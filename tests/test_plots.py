"""Oracles on what the figures show and on what the files of the report hold."""

import re

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import processes
import pytest
from matplotlib.collections import LineCollection
from matplotlib.contour import ContourSet

from heatproof.display import charts, lines, plots, style
from heatproof.display.scores import plot_scores
from heatproof.display.volumes import plot_volume

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Give every test its own report folder and the untouched style of matplotlib."""
    monkeypatch.setenv("XAI_REPORT_DIR", str(tmp_path / "report"))
    with plt.rc_context():
        yield tmp_path / "report"
    plt.close("all")


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(2, 6, 8, 1))


@pytest.fixture
def maps():
    """Two signed maps of unlike size, with one channel and with none."""
    rng = np.random.default_rng(1)
    return {"small": rng.normal(size=(2, 6, 8, 1)), "large": 10 * rng.normal(size=(2, 6, 8))}


def pictures(figure):
    """Return the image artists of the panels in reading order, without colour bars."""
    return [axes.images[-1] for axes in figure.axes if axes.images]


def caption(figure):
    return " ".join(figure.get_supxlabel().split())


# -- scales of images


def test_scale_of_a_row_is_symmetric_shared_and_holds_every_value(images, maps):
    shown = pictures(plots.plot_attributions(images, maps, percentile=100))
    for row, (first, second) in enumerate((shown[1:3], shown[4:6])):
        limit = max(np.abs(values[row]).max() for values in maps.values())
        for artist in (first, second):
            assert (artist.norm.vmin, artist.norm.vmax) == (-limit, limit)
    np.testing.assert_array_equal(shown[1].get_array(), maps["small"][0, ..., 0])


def test_zero_is_the_neutral_middle_and_red_means_for(images):
    ramp = np.zeros((2, 6, 8))
    ramp[:, 0, 0], ramp[:, 0, 1] = 2.0, -1.0
    artist = pictures(plots.plot_attributions(images, {"map": ramp}, percentile=100))[1]
    colours = artist.to_rgba(artist.get_array())[..., :3]
    red, blue, zero = colours[0, 0], colours[0, 1], colours[3, 3]
    assert red[0] > 2 * red[2] and blue[2] > blue[0]
    assert np.ptp(zero) < 0.01 and zero.min() > 0.9
    # equal evidence for and against lies equally far from the middle of the colour map
    assert artist.norm(-1.0) == pytest.approx(1 - artist.norm(1.0))


def test_percentile_clips_and_the_figure_says_so(images):
    values = np.zeros((1, 10, 10))
    values[0].flat[:] = np.arange(100) - 99  # |value| is 0, 1, ..., 99: the 50th percentile is 49.5
    figure = plots.plot_attributions(np.zeros((1, 10, 10)), {"map": values}, percentile=50)
    assert pictures(figure)[1].norm.vmax == 49.5
    assert "50th percentile of |value|, values beyond it clipped" in caption(figure)
    whole = plots.plot_attributions(np.zeros((1, 10, 10)), {"map": values}, percentile=100)
    assert "largest |value|" in caption(whole) and "clipped" not in caption(whole)


@pytest.mark.parametrize(
    ("channels", "percentile", "ticks", "ends"),
    [("sum", 100, [-3, 0, 3], "neither"), ("sum", 99, [-3, 0, 3], "both"), ("maximum", 99, [0, 3], "max")],
)
def test_colour_bar_shows_the_limits_and_points_where_values_are_clipped(channels, percentile, ticks, ends):
    figure = plots.plot_attributions(
        np.zeros((1, 9, 9)), {"map": np.full((1, 9, 9), 3.0)}, channels=channels, percentile=percentile
    )
    bar = figure.axes[-1]
    assert [label.get_text() for label in bar.get_yticklabels()] == [str(t).replace("-", "−") for t in ticks]
    assert list(bar.get_yticks()) == ticks
    assert bar._colorbar.extend == ends
    first, last = bar._colorbar.cmap(bar._colorbar.norm(ticks[0])), bar._colorbar.cmap(bar._colorbar.norm(3))
    shown = pictures(figure)[1]
    assert (first, last) == (shown.to_rgba(ticks[0]), shown.to_rgba(3))


def test_scale_map_divides_each_map_by_its_own_limit(images, maps):
    shown = pictures(plots.plot_attributions(images, maps, scale="map", percentile=100))
    for artist in (shown[1], shown[2], shown[4], shown[5]):
        assert np.abs(artist.get_array()).max() == pytest.approx(1)
        assert (artist.norm.vmin, artist.norm.vmax) == (-1, 1)


def test_a_map_of_zeros_is_neutral_everywhere(images):
    artist = pictures(plots.plot_attributions(images, {"map": np.zeros((2, 6, 8))}))[1]
    assert artist.norm.vmax > 0
    assert artist.norm(artist.get_array()).data == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("channels", "expected", "signed"), [("sum", -1.0, True), ("magnitude", 5.0, False), ("maximum", 4.0, False)]
)
def test_channels_are_reduced_as_named(channels, expected, signed):
    values = np.broadcast_to([3.0, -4.0, 0.0], (1, 5, 5, 3))
    figure = plots.plot_attributions(np.zeros((1, 5, 5, 3)), {"map": values}, channels=channels)
    artist = pictures(figure)[1]
    np.testing.assert_allclose(artist.get_array(), expected)
    assert (artist.norm.vmin < 0) == signed == ("Red: positive" in caption(figure))


def test_overlay_is_as_opaque_as_the_value_is_large(images):
    values = np.zeros((2, 6, 8))
    values[:, 0, :2] = -4.0, 1.0
    axes = plots.plot_attributions(images, {"map": values}, overlay=True, percentile=100).axes[1]
    grey, over = axes.images
    np.testing.assert_array_equal(grey.get_array(), images[0, ..., 0])
    np.testing.assert_array_equal(over.get_alpha()[0, :3], [1, 0.25, 0])


def test_a_contour_lies_over_the_maps_where_the_image_is_as_bright_as_its_quartiles():
    ramp = np.broadcast_to(np.linspace(0, 1, 41), (1, 30, 41))
    figure = plots.plot_attributions(ramp, {"map": np.ones((1, 30, 41))}, contour=True)
    over = [[one for one in axes.collections if isinstance(one, ContourSet)] for axes in figure.axes[:2]]
    assert not over[0] and len(over[1]) == 1
    (drawn,) = over[1]
    assert [path.vertices[:, 0].mean() for path in drawn.get_paths()] == pytest.approx([10, 20, 30], abs=0.1)
    assert "brightness of the input" in caption(figure)
    dot = np.zeros((1, 30, 30))
    dot[0, 10:14, 10:14] = 1  # its quartiles are its least value, which no line can part from the rest
    for plain in (np.ones((1, 30, 30)), dot):
        figure = plots.plot_attributions(plain, {"map": np.ones((1, 30, 30))}, contour=True)
        assert not [one for axes in figure.axes for one in axes.collections if isinstance(one, ContourSet)]


def test_the_contour_of_a_coloured_image_is_that_of_its_grey_version():
    colours = np.zeros((20, 20, 3))
    colours[:, 10:, 0], colours[10:, :, 1] = 0.9, 0.6
    grey = colours.mean(axis=-1)
    found = []
    for image in (colours, grey):
        _, axes = plt.subplots()
        lines.contour(axes, image)
        found.append(axes.collections[0].get_paths()[0].vertices)
    np.testing.assert_allclose(*found)


def test_images_are_scaled_from_the_input_range(images):
    centred = 2 * images - 1
    artist = pictures(plots.plot_images(centred, input_range=(-1, 1)))[1]
    np.testing.assert_allclose(artist.get_array(), images[1, ..., 0], atol=1e-12)
    stretched = pictures(plots.plot_images(7 * images, input_range=None))[0].get_array()
    assert (stretched.min(), stretched.max()) == (0, 1)


def test_outline_runs_along_the_edges_of_the_mask(images):
    masks = np.zeros((2, 6, 8), bool)
    masks[0, 2:4, 3:7] = True
    masks[1, 4:, :2] = True  # touches two borders of the image and is closed all the same
    figure = plots.plot_images(images, masks=masks)
    for axes, box in zip(figure.axes, [(2.5, 6.5, 1.5, 3.5), (-0.5, 1.5, 3.5, 5.5)], strict=True):
        line = next(artist for artist in axes.collections if isinstance(artist, ContourSet))
        x, y = np.concatenate([path.vertices for path in line.get_paths()]).T
        assert (x.min(), x.max(), y.min(), y.max()) == box
        assert axes.get_xlim() == (-0.5, 7.5) and axes.get_ylim() == (5.5, -0.5)


def test_contact_sheet_keeps_order_and_labels(images):
    figure = plots.plot_images(np.concatenate([images, images]), list("abcd"), columns=3)
    assert [axes.get_title() for axes in figure.axes if axes.images] == list("abcd")
    np.testing.assert_array_equal(pictures(figure)[3].get_array(), images[1, ..., 0])


def test_columns_continue_one_image_on_the_next_line(images, maps):
    figure = plots.plot_attributions(images[:1], {k: v[:1] for k, v in maps.items()}, columns=2)
    places = [axes.get_subplotspec() for axes in figure.axes if axes.images]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [(0, 0), (0, 1), (1, 0)]
    assert [axes.get_title() for axes in figure.axes if axes.images] == ["input", "small", "large"]
    assert "Limit of each input:" in caption(figure)  # its maps fill two rows and share one limit
    assert "Limit of each row:" in caption(plots.plot_attributions(images, maps))


# -- signals


def test_bars_and_scale_of_signals():
    signals = np.random.default_rng(2).normal(size=(2, 40, 1))
    values = np.zeros((2, 40, 1))
    values[0, 3], values[1, 30] = 2.0, -5.0
    figure = plots.plot_signals(signals, {"method": values}, scale="row")
    first, second = figure.axes[2:4]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_ydata(), signals[1, :, 0])
    assert [bar.get_height() for bar in first.patches][3] == 2.0
    assert matplotlib.colors.to_hex(first.patches[3].get_facecolor()) == style.FOR
    assert matplotlib.colors.to_hex(second.patches[30].get_facecolor()) == style.AGAINST
    assert first.get_ylim() == second.get_ylim() == (-6, 6)  # one scale for the row, 1.2 times its limit
    assert first.patches[3].get_x() + first.patches[3].get_width() / 2 == pytest.approx(3)


def test_scale_map_of_signals_divides_each_signal_by_its_own_limit():
    values = np.ones((2, 40)) * np.array([[0.1], [-7.0]])
    figure = plots.plot_signals(np.zeros((2, 40)), {"method": values})
    heights = [axes.patches[0].get_height() for axes in figure.axes[2:4]]
    assert heights == pytest.approx([1, -1])


@pytest.mark.parametrize("overlay", [False, True])
def test_evidence_of_signals_covers_whole_samples(overlay):
    masks = np.zeros((1, 40), bool)
    masks[0, :4] = masks[0, 10:15] = True
    figure = plots.plot_signals(np.zeros((1, 40)), {"m": np.ones((1, 40))}, masks=masks, overlay=overlay)
    bands = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in figure.axes[0].patches]
    assert sorted(set(bands)) == [(-0.5, 3.5), (9.5, 14.5)]
    assert "evidence" in caption(figure)


def test_strips_lie_under_their_samples():
    values = np.arange(40.0)[None] - 20
    axes = plots.plot_signals(np.zeros((1, 40)), {"m": values}, overlay=True, scale="row").axes[0]
    strip = axes.images[0]
    assert strip.get_extent()[:2] == [-0.5, 39.5]
    assert (strip.norm.vmin, strip.norm.vmax) == (-20, 20)
    np.testing.assert_array_equal(strip.get_array(), values)


# -- numbers


def test_confusion_matrix_writes_counts_and_colours_shares():
    axes = charts.plot_confusion([[30, 10], [0, 5]], ["a", "b"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["30", "10", "0", "5"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


def test_intervals_stand_at_their_numbers_first_on_top():
    axes = charts.plot_intervals("ab", [0.5, 0.7], [[0.4, 0.6], [0.65, 0.8]], "score").axes[0]
    lines = next(artist for artist in axes.collections if isinstance(artist, LineCollection))
    np.testing.assert_array_equal(lines.get_segments(), [[[0.4, 0], [0.6, 0]], [[0.65, 1], [0.8, 1]]])
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0.5, 0.7])
    assert axes.yaxis_inverted() and [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_curves_are_told_apart_without_colour():
    x = np.array([1.0, 10.0, 100.0])
    curves = {"one": (x, 1 / x), "two": (x, 1 / x**2)}
    axes = charts.plot_curves(curves, "steps", "gap", log="xy", reference=(0.01, "tolerance")).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.lines[0].get_marker() != axes.lines[1].get_marker()
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), 1 / x**2)
    assert [text.get_text() for text in axes.get_legend().texts] == ["one", "two", "tolerance"]


@pytest.mark.parametrize("width", [style.PAGE_WIDTH, style.COLUMN_WIDTH])
def test_nothing_leaves_the_figure(width, images, maps):
    style.use_style()
    signals = {name: values.reshape(2, 48) for name, values in maps.items()}
    masks = np.ones((2, 6, 8), bool)
    figures = [
        plots.plot_images(images, ["a long label for it", "b"], masks=masks, width=width),
        plots.plot_attributions(images, maps, ["first", "second"], masks=masks, overlay=True, width=width),
        plots.plot_attributions(images, maps, scale="map", columns=2, width=width),
        plots.plot_signals(images.reshape(2, 48), signals, masks=masks.reshape(2, 48), width=width),
        plots.plot_signals(images.reshape(2, 48), signals, overlay=True, width=width),
        charts.plot_confusion(np.eye(7) * 1000, ["surprise"] * 7, width=width),
        charts.plot_intervals(
            ["Integrated Gradients"] * 3, [1] * 3, [[0, 2]] * 3, "mass accuracy with 95 % interval", width=width
        ),
        charts.plot_curves({"a": ([1, 2], [1, 2])}, "x", "y", width=width),
    ]
    for figure in figures:
        figure.canvas.draw()
        box, (wide, high) = figure.get_tightbbox(), figure.get_size_inches()
        assert wide == width
        assert min(box.x0, box.y0) > -0.02 and box.x1 < wide + 0.02 and box.y1 < high + 0.02
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= 7


# -- networks


def chain(*hidden, size=(8, 16, 1)):
    """An untrained model: 8 x 16 grey pixels, 6 channels, pooling by 2, the layers in `hidden`, 3 classes."""
    layers = [keras.layers.Conv2D(6, 3, padding="same", name="first"), keras.layers.MaxPooling2D(name="smaller")]
    return keras.Sequential([keras.Input(size), *layers, *hidden, keras.layers.Dense(3, name="classes")])


def boxes(axes):
    """Width, height and depth of every drawn layer, in inches; the sides behind a front rise by depth / 4."""
    found = []
    for patch in axes.patches:
        if isinstance(patch, plt.Rectangle):
            found.append([patch.get_width(), patch.get_height(), 0.0])
        elif np.ptp(patch.get_xy()[:, 1]) < found[-1][1]:  # the top, as these boxes are higher than deep / 4
            found[-1][2] = 4 * np.ptp(patch.get_xy()[:, 1])
    return np.array(found)


def test_architecture_is_to_scale_and_names_every_layer():
    model = chain(keras.layers.GlobalAveragePooling2D(name="average"))
    axes = charts.plot_architecture(model).axes[0]
    inches = boxes(axes)
    shapes = np.array([(8, 16, 1), (8, 16, 6), (4, 8, 6)])  # input, first, smaller
    np.testing.assert_allclose(inches[:3, [1, 2]] / shapes[:, :2], inches[0, 1] / 8)
    np.testing.assert_allclose(inches[:3, 0] / shapes[:, 2], inches[0, 0])
    assert inches[3, 1] / 6 == pytest.approx(inches[4, 1] / 3) and not inches[3:, 2].any()
    texts = [text.get_text() for text in axes.texts]
    assert texts == [
        "input\n8×16\n×1", "first\n8×16\n×6", "smaller\n4×8\n×6", "average\n6", "classes\n3"
    ]  # fmt: skip
    kinds = [text.get_text() for text in axes.get_legend().texts]
    assert kinds == ["input", "convolution", "pooling", "global pooling", "dense"]


def test_architecture_of_a_signal_network_has_no_depth():
    layers = [keras.layers.Conv1D(4, 3, strides=2, name="conv"), keras.layers.Flatten(), keras.layers.Dense(2)]
    inches = boxes(charts.plot_architecture(keras.Sequential([keras.Input((41, 1)), *layers])).axes[0])
    assert not inches[:, 2].any() and inches[0, 1] / inches[1, 1] == pytest.approx(41 / 20)
    assert inches[2, 1] / inches[3, 1] == pytest.approx(80 / 2)


def test_architecture_keeps_boxes_apart_and_inside_the_figure():
    style.use_style()
    deep = [keras.layers.Conv2D(128, 3, padding="same", name=f"conv{number}") for number in range(4)]
    model = chain(*deep, keras.layers.GlobalAveragePooling2D(), size=(150, 150, 3))
    figure = charts.plot_architecture(model, title="a title")
    figure.canvas.draw()
    box, (wide, high) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02 and box.x1 < wide + 0.02 and box.y1 < high + 0.02
    axes = figure.axes[0]
    assert axes.get_position().bounds == pytest.approx((0, 0, 1, 1), abs=0.01)  # one unit is one inch
    fronts = [patch for patch in axes.patches if isinstance(patch, plt.Rectangle)]
    ends = [(front.get_x(), front.get_x() + front.get_width()) for front in fronts]
    assert all(left[1] < right[0] for left, right in zip(ends, ends[1:], strict=False))
    labels = [text.get_window_extent() for text in axes.texts]
    assert not any(left.overlaps(right) for left, right in zip(labels, labels[1:], strict=False))


def test_architecture_refuses_what_is_no_chain_of_fixed_shapes():
    start = keras.Input((8, 8, 1))
    branch = keras.layers.Conv2D(1, 3, padding="same", name="branch")(start)
    joined = keras.layers.Add(name="joined")([start, branch])
    with pytest.raises(ValueError, match="'joined' does not take the output of 'branch' alone"):
        charts.plot_architecture(keras.Model(start, keras.layers.Flatten()(joined)))
    free = chain(keras.layers.GlobalAveragePooling2D(), size=(None, None, 1))
    with pytest.raises(ValueError, match=r"the output shape \(None, None, 1\) of layer '.*'"):
        charts.plot_architecture(free)
    with pytest.raises(ValueError, match="functional or Sequential model with a fixed input shape"):
        charts.plot_architecture(keras.Sequential([keras.layers.Dense(2)]))


# -- bad input


def with_nan(values):
    values = values.copy()
    values.flat[5] = np.nan
    return values


BAD = {
    "NaN in a map": (lambda x, m: plots.plot_attributions(x, {"a": with_nan(m)}), r"^maps\['a'\]: got NaN"),
    "map of another size": (lambda x, m: plots.plot_attributions(x, {"a": m[:, :5]}), r"^maps\['a'\]: got shape"),
    "one map too few": (lambda x, m: plots.plot_attributions(x, {"a": m[:1]}), r"allowed: \(2, 6, 8\)"),
    "no batch axis": (lambda x, m: plots.plot_images(x[0, ..., 0]), r"inputs\[:1\]"),
    "empty batch": (lambda x, m: plots.plot_images(x[:0]), "images: got an empty array"),
    "channels of images": (lambda x, m: plots.plot_images(x.repeat(2, -1)), "images: got 2 channels"),
    "range of images": (lambda x, m: plots.plot_images(255 * x), "images: got values from .* allowed: input_range"),
    "shape of masks": (lambda x, m: plots.plot_images(x, masks=m[:, :3]), "masks: got shape"),
    "fractional masks": (lambda x, m: plots.plot_images(x, masks=x[..., 0]), "masks > 0.5"),
    "labels": (lambda x, m: plots.plot_images(x, ["a"]), "labels: got 1 entries"),
    "channel mode": (lambda x, m: plots.plot_attributions(x, {"a": m}, channels="mean"), "'magnitude'"),
    "scale mode": (lambda x, m: plots.plot_attributions(x, {"a": m}, scale="all"), "scale: got 'all'"),
    "percentile": (lambda x, m: plots.plot_attributions(x, {"a": m}, percentile=0), "percentile: got 0"),
    "unsigned negatives": (lambda x, m: plots.plot_attributions(x, {"a": m}, signed=False), "negative"),
    "signal's map": (lambda x, m: plots.plot_signals(np.zeros((2, 40)), {"a": m}), r"^maps\['a'\]: got shape"),
    "signal's batch axis": (lambda x, m: plots.plot_signals(np.zeros(40), {"a": m}), "signals: got shape"),
    "confusion": (lambda x, m: charts.plot_confusion(np.eye(2), "abc"), "3 class names"),
    "confusion of shares": (lambda x, m: charts.plot_confusion(np.eye(2) / 2, "ab"), "counts"),
    "interval": (lambda x, m: charts.plot_intervals("a", [1], [[2, 3]], "x"), "an estimate outside its interval"),
    "curve lengths": (lambda x, m: charts.plot_curves({"a": ([1], [1, 2])}, "", ""), "1 x and 2 y"),
    "zero on a log axis": (
        lambda x, m: charts.plot_curves({"a": ([0], [1])}, "", "", log="x"),
        "above 0 on a logarithmic axis",
    ),
    "log": (lambda x, m: charts.plot_curves({}, "", "", log="z"), "log: got 'z'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_the_cure_before_anything_is_drawn(case, images, maps, folder):
    call, message = BAD[case]
    open_figures = plt.get_fignums()
    with pytest.raises(ValueError, match=message):
        call(images, maps["large"])
    assert plt.get_fignums() == open_figures
    assert not folder.exists()


def test_wrong_types_are_refused(images, maps):
    with pytest.raises(TypeError, match="dictionary"):
        plots.plot_attributions(images, maps["large"])


def layout_after_import():
    """What matplotlib does in a process that has imported everything here and drawn nothing."""
    return plt.rcParams["figure.constrained_layout.use"]


def test_style_embeds_fonts_and_changes_nothing_at_import():
    assert processes.ask(layout_after_import) is False
    style.use_style()
    assert plt.rcParams["pdf.fonttype"] == 42
    sizes = [size for name, size in style.STYLE.items() if re.search("(font.*|label|title)size", name)]
    assert min(sizes) >= 8


# ---- scores


def test_scores_are_drawn_at_their_means_with_the_best_on_top_and_the_other_setting_hollow():
    """Deletion: small is best. A method that never looks at the network is grey."""
    rows = [("Saliency", "deletion", 0.4, 0.3, 0.5, "gradients"), ("random", "deletion", 0.6, 0.5, 0.7, "")]
    rows += [("Grad-CAM", "deletion", 0.2, 0.1, 0.3, "cam"), ("Grad-CAM", "insertion", 0.9, 0.8, 1.0, "cam")]
    summary = pd.DataFrame(rows, columns=["method", "metric", "mean", "low", "high", "family"])
    summary["better"] = summary["metric"].map({"deletion": "low", "insertion": "high"})
    beside = summary[summary["method"] == "Grad-CAM"].assign(mean=0.35)
    metrics = {"deletion": "deletion", "insertion": "insertion"}
    figure = plot_scores(summary, metrics, beside=beside, references={"deletion": (0.5, "chance")})
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["Grad-CAM", "Saliency", "random"]
    dots = {(line.get_xdata()[0], line.get_ydata()[0]): line for line in left.lines if line.get_marker() == "o"}
    assert set(dots) == {(0.2, 0), (0.4, 1), (0.6, 2), (0.35, 0)}
    assert dots[0.35, 0].get_markerfacecolor() == "white" and dots[0.2, 0].get_markerfacecolor() != "white"
    assert dots[0.6, 2].get_color() == style.NEUTRAL != dots[0.4, 1].get_color() != dots[0.2, 0].get_color()
    ends = [segment[:, 0].tolist() for lines in left.collections for segment in lines.get_segments()]
    assert sorted(ends) == [[0.1, 0.3], [0.3, 0.5], [0.5, 0.7]]
    assert left.get_xlabel().endswith("←") and right.get_xlabel().endswith("→")
    (dashed,) = [line for line in left.lines if line.get_linestyle() == "--"]
    assert dashed.get_xdata()[0] == 0.5 and left.texts[0].get_text() == "chance"


# ---- volumes


def test_a_volume_is_cut_at_its_strongest_slice_and_projected():
    """The map is largest on slice 3 of axis 1; its strongest value along that axis is -4."""
    volume = np.linspace(0, 1, 4 * 7 * 5).reshape(4, 7, 5)
    values = np.zeros((4, 7, 5))
    values[1, 3, 2], values[1, 2, 2], values[0, 5, 0] = -4, 2, 1
    figure = plot_volume(volume, {"mine": values}, axis=1, slices=3, percentile=100)
    rows = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in rows[:4]] == ["slice 0", "slice 3", "slice 6", "projection"]
    shown = [np.asarray(axes.images[0].get_array()) for axes in rows]
    for picture, wanted in zip(shown[:4], [volume[:, 0], volume[:, 3], volume[:, 6], volume.mean(axis=1)], strict=True):
        np.testing.assert_allclose(picture, wanted)
    np.testing.assert_allclose(shown[5], values[:, 3] / 4)
    assert (shown[7][1, 2], shown[7][0, 0]) == (-1, 0.25)
    assert "Cut along axis 1." in figure._supxlabel.get_text()


def test_the_strongest_slice_stands_in_the_middle_at_the_border_too():
    values = np.zeros((5, 2, 2))
    values[0] = 1
    figure = plot_volume(np.zeros((5, 2, 2, 3)), {"mine": values[..., None]}, slices=3)
    assert [axes.get_title() for axes in figure.axes if axes.images][:3] == ["slice 0", "slice 1", "projection"]
