"""What the figures of a network draw: the arrays, limits and words behind the pictures."""

import numpy as np
import pytest
from astropy.table import Table

from galcnn.cutout import Cutout
from galcnn.explain import Synthesis
from galcnn.model import Target
from galcnn.transforms import display_rgb
from galcnn.transforms.rgb import signed_rgb
from galcnn.viewers.plots.gradients import (
    backward_figure,
    first_order_figure,
    gradient_figure,
    line_figure,
    plane_figure,
)
from galcnn.viewers.plots.network import (
    activation_figure,
    class_model_figure,
    filter_image_figure,
    filter_result_figure,
    kernel_figure,
    strongest_figure,
    weight_figure,
)

RNG = np.random.default_rng(0)
CLASSES = ("elliptical", "spiral")


class Record:
    """A record with the given fields: figures take what the nouns of explain hold, without Keras."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


def a_cutout():
    return Cutout(RNG.normal(size=(2, 12, 12)) + 5, ("g", "r"))


def images_of(figure):
    return [axes.images[0] for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]


def texts_of(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def symmetric(image):
    low, high = image.get_clim()
    return low == -high and image.get_cmap().name == "RdBu_r"


def test_kernels_stand_in_rows_of_bands_and_columns_of_filters():
    kernels = RNG.normal(size=(3, 2, 3, 3)).astype("float32")
    table = Table({"norm": [1.0, 2, 3], "flat": [0.2] * 3, "even": [0.3] * 3, "odd": [0.5] * 3})
    figure = kernel_figure(Record(network_layer="conv", kernels=kernels), table, ["g", "r"])
    (image,) = images_of(figure)
    mosaic = np.ma.filled(image.get_array().astype(float), np.nan)
    assert symmetric(image)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["g", "r"]
    np.testing.assert_allclose(mosaic[5:8, 1:4], kernels[0, 0], rtol=1e-6)  # the first band at the top
    np.testing.assert_allclose(mosaic[1:4, 9:12], kernels[2, 1], rtol=1e-6)
    assert np.isnan(mosaic[0]).all()
    assert "3 filters of 3 x 3 on 2 inputs" in texts_of(figure)[0]


def test_only_the_strongest_filters_are_drawn_of_a_wide_layer():
    kernels = RNG.normal(size=(70, 1, 1, 1)).astype("float32")
    norm = np.arange(70.0)
    table = Table({"norm": norm, "flat": norm * 0, "even": norm * 0, "odd": norm * 0 + 1})
    figure = kernel_figure(Record(network_layer="conv", kernels=kernels), table, ["0"])
    assert "shown 64 x 1" in texts_of(figure)[0]
    mosaic = np.ma.filled(images_of(figure)[0].get_array().astype(float), np.nan)
    np.testing.assert_allclose(mosaic[1, 1::2], kernels[6:, 0, 0, 0], rtol=1e-6)


def test_feature_maps_are_sorted_by_their_peaks_under_one_scale():
    maps = np.zeros((4, 4, 3), "float32")
    maps[1, 2] = [1, 3, 2]
    signed = maps - 2
    figure = activation_figure(a_cutout(), {"relu": maps, "norm": signed}, "M 51", most=2)
    _, first, second, third, _ = images_of(figure)
    np.testing.assert_array_equal(first.get_array(), maps[..., 1])
    np.testing.assert_array_equal(second.get_array(), maps[..., 2])
    assert first.get_clim() == second.get_clim()
    assert first.get_clim()[0] == 0
    assert first.get_cmap().name == "viridis"
    assert symmetric(third)
    with pytest.raises(ValueError, match="at least one network layer"):
        activation_figure(a_cutout(), {}, "M 51")


def test_parts_of_a_filters_result_share_their_scale():
    parts, total = RNG.normal(size=(2, 12, 12)), RNG.normal(size=(12, 12))
    learned = Record(kernels=RNG.normal(size=(4, 2, 3, 3)))
    figure = filter_result_figure(a_cutout(), learned, {3: (parts, total)}, inputs=["g", "r"])
    _, kernel_g, kernel_r, part_g, part_r, whole = images_of(figure)
    np.testing.assert_array_equal(kernel_g.get_array(), learned.kernels[3, 0])
    np.testing.assert_array_equal(part_r.get_array(), parts[1])
    np.testing.assert_array_equal(whole.get_array(), total)
    assert part_g.get_clim() == part_r.get_clim() == whole.get_clim()
    assert all(symmetric(image) for image in (kernel_g, kernel_r, part_g, whole))


def test_weights_are_drawn_from_percentile_to_percentile():
    row = {"network_layer": "conv", "weight": "kernel", "n": 9, "p05": -1.0, "p50": 0.25, "p95": 2.0}
    figure = weight_figure(Table(rows=[row | {"minimum": -3.0, "maximum": 4.0}]))
    axes = figure.axes[0]
    spans = sorted(tuple(line.get_segments()[0][:, 0]) for line in axes.collections)
    assert spans == [(-3.0, 4.0), (-1.0, 2.0)]
    assert axes.get_yticklabels()[0].get_text() == "conv/kernel  (9)"


def a_synthesis(success=True, **fields):
    values = {
        "image": np.abs(RNG.normal(size=(2, 12, 12))),
        "start": np.zeros((2, 12, 12)),
        "bands": ("g", "r"),
        "method": "class_model",
        "target": Target.of_class("spiral", CLASSES),
        "wrt": "stretched",
        "unit": "",
        "score": 5.0,
        "start_score": -1.0,
        "success": success,
        "logits": (0.0, np.log(3)) if success else (np.log(3), 0.0),
        "start_logits": (1.0, -1.0),
    }
    return Synthesis(**(values | fields))


def test_class_models_say_what_an_independent_prediction_calls_them():
    rows = {"from zero": [a_synthesis(), a_synthesis(success=False)]}
    figure = class_model_figure(rows, CLASSES)
    right, wrong = texts_of(figure)
    assert right == "for spiral\n✓ spiral 0.75"
    assert wrong == "for spiral\n✗ elliptical 0.75"
    colours = [axes.title.get_color() for axes in figure.axes if axes.get_title()]
    assert colours[0] != colours[1]
    images = images_of(figure)
    assert len(images) == 4, "two bands of two images"
    assert all(symmetric(image) for image in images)
    assert len({image.get_clim() for image in images}) == 1
    np.testing.assert_array_equal(images[2].get_array(), rows["from zero"][0].image[1])


def test_three_bands_are_drawn_in_colour_grey_at_zero_and_cut_to_the_field():
    image = np.zeros((3, 12, 12))
    image[0, 6, 7], image[2, 6, 7] = -2.0, 2.0  # less blue, more red
    made = a_synthesis(image=image, start=np.zeros((3, 12, 12)), bands=("g", "r", "i"))
    (shown,) = images_of(class_model_figure({"from zero": [made]}, field=(4, 10, 2, 12)))
    assert shown.get_array().shape == (6, 10, 3)
    assert shown.get_array()[2, 5].tolist() == [255, 128, 0]
    assert shown.get_array()[0, 0].tolist() == [128, 128, 128]
    (kernel,) = images_of(filter_image_figure([made]))
    assert kernel.get_array()[0, 0].tolist() == [255, 128, 0]
    named = signed_rgb(image, ("R", "G", "B"), 2.0)
    assert named[6, 7].tolist() == [0, 128, 255], "the first plane of a picture is red"


def test_light_is_drawn_in_colour_with_its_peak():
    lit = a_synthesis(wrt="flux", unit="nJy")
    (image,) = images_of(class_model_figure({"light": [lit]}, CLASSES))
    assert image.get_array().shape == (12, 12, 3)
    figure = class_model_figure({"light": [a_synthesis(wrt="flux", unit="display")]}, CLASSES)
    assert "of 255" in figure.axes[0].get_xlabel()


def test_filter_images_are_cut_to_what_they_touch():
    image = np.zeros((2, 12, 12))
    image[0, 4:7, 5:8] = RNG.normal(size=(3, 3)) + 3
    made = a_synthesis(image=image, target=Target("filter 2", (0, 0, 1)), network_layer="conv")
    figure = filter_image_figure([made])
    first, second = images_of(figure)
    np.testing.assert_allclose(first.get_array(), image[0, 4:7, 5:8], rtol=1e-6)
    assert second.get_array().shape == (3, 3)
    assert texts_of(figure) == ["filter 2\n-1 → 5"]
    with pytest.raises(ValueError, match="at least one synthesis"):
        filter_image_figure([])


def test_regions_and_galaxies_share_their_colours():
    grid = np.zeros((20, 20, 2))
    grid[:, 10:, 1] = 1
    plane = Record(
        positions=np.array([[-0.5, 0.0], [0.5, 0.5], [0.6, -0.5]]),
        explained=(0.6, 0.3),
        x=np.linspace(-1, 1, 20),
        y=np.linspace(-1, 1, 20),
        logits=grid,
        regions=grid.argmax(axis=-1),
        agreement=1.0,
        network_layer="gap",
    )
    figure = plane_figure(plane, CLASSES, ["elliptical", "spiral", "spiral"])
    axes = figure.axes[0]
    pale = axes.images[0].get_array()
    assert not np.allclose(pale[0, 0], pale[0, -1])
    points = [line for line in axes.lines if line.get_marker() not in ("None", None, "")]
    assert [len(line.get_xdata()) for line in points] == [1, 2]
    assert len({line.get_color() for line in points}) == len({line.get_marker() for line in points}) == 2
    assert "60%" in axes.get_xlabel()


def test_a_line_shows_its_flips():
    from galcnn.explain.network.boundaries import Crossing, Line

    positions = np.linspace(0, 1, 9)
    logits = np.stack([1 - positions, positions], axis=1).astype("float32")
    line = Line(positions, logits, (Crossing(0.5, 0, 1),))
    figure = line_figure([("a to b", line, [a_cutout()] * 3)], CLASSES)
    axes = figure.axes[-1]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), logits[:, 1])
    assert axes.texts[0].get_text() == "0.500"
    assert len(images_of(figure)) == 3


def test_the_first_order_figure_draws_median_and_middle_half():
    error = np.array([[0.1, 1.0], [0.2, 2.0], [0.3, 3.0]])
    curve = Record(
        distances=np.array([0.1, 1.0]),
        error=error,
        direction="noise",
        linear=np.ones((3, 2, 2)),
        actual=RNG.normal(size=(3, 2, 2)),
    )
    figure = first_order_figure([curve], unit="sigma")
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.2, 2.0])
    np.testing.assert_allclose(right.lines[0].get_ydata(), curve.actual[:, 1].ravel())
    assert right.get_title() == "steps of 1 sigma"


def test_gradients_and_the_backward_pass_are_drawn_as_they_are():
    figure = gradient_figure(["a", "b"], {"spiral": np.array([0.1, 0.2])}, {"a/kernel": 0.5})
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [0.1, 0.2])
    assert figure.axes[1].patches[0].get_height() == 0.5
    upstream = np.zeros((1, 6, 6, 2))
    upstream[..., 1] = RNG.normal(size=(6, 6))
    automatic = np.stack([np.zeros((1, 6, 6)), RNG.normal(size=(1, 6, 6))], axis=-1)
    shown = Record(
        network_layer="conv", upstream=upstream, automatic=automatic, convolved=automatic + 1e-3, error=1e-3
    )
    kernel = RNG.normal(size=(3, 3, 2, 2))
    images = images_of(backward_figure(shown, kernel, names=["g", "r"]))
    np.testing.assert_array_equal(images[0].get_array(), kernel[:, :, 1, 1])
    np.testing.assert_array_equal(images[1].get_array(), kernel[::-1, ::-1, 1, 1])
    np.testing.assert_array_equal(images[2].get_array(), upstream[0, ..., 1])
    assert images[3].get_clim() == images[4].get_clim()
    np.testing.assert_allclose(images[5].get_array(), 1e-3, rtol=1e-6)


def test_strongest_activations_stand_above_what_the_deconvnet_makes_of_them():
    cutouts, maps = [a_cutout() for _ in range(4)], RNG.normal(size=(3, 12, 12, 2))
    boxes = ((slice(0, 3), slice(2, 7)), (slice(4, 9), slice(4, 9)), (slice(7, 12), slice(9, 12)))
    one = Record(feature=7, images=[2, 0, 3], values=np.array([9.0, 4.5, 1.25]), maps=maps, boxes=boxes)
    figure = strongest_figure([one, one], cutouts, ["a", "b", "c", "d"])
    images = images_of(figure)
    assert len(images) == 12
    assert texts_of(figure) == ["c\n9", "a\n4.5", "d\n1.25"] * 2
    for above, row, box in zip(images[:3], one.images, boxes, strict=True):
        np.testing.assert_array_equal(above.get_array(), display_rgb(cutouts[row])[box])
    for below, map_, box in zip(images[3:6], maps, boxes, strict=True):
        np.testing.assert_allclose(below.get_array(), map_.sum(-1)[box])
        assert symmetric(below)
    with pytest.raises(ValueError, match="at least one feature map"):
        strongest_figure([], cutouts, [])
