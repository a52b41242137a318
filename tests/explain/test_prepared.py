"""What a model sees of some cutouts is made once; the maps are those of each step by itself."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.cutout import Cutout
from galcnn.explain import CAM, Context, GradCAM, Saliency, SmoothGrad, attribution, explain
from galcnn.explain.attribution import Prepared, explain_prepared
from galcnn.explain.methods import cam, gradcam
from galcnn.model import Target, images_from
from tests.conftest import toy_images

N = 3


@pytest.fixture(scope="module")
def cutouts():
    images, _ = toy_images(N, seed=5)
    planes = np.moveaxis(images, -1, 1)
    return [Cutout(p, ("g", "r"), sigma=np.full(p.shape, 3.0)) for p in planes]


@pytest.fixture
def counts(trained, monkeypatch):
    """Calls by name; of the model and its parts the images of each pass outside of a graph."""
    found = {}

    def counted(module, name, label):
        function = getattr(module, name)

        def call(*args, **kwargs):
            found[label] = found.get(label, 0) + 1
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    counted(attribution, "prepare", "prepare")
    counted(attribution, "images_from", "images")
    counted(cam, "run_in_batches", "cam")
    counted(gradcam, "run_in_batches", "gradcam")
    plain = keras.layers.Layer.__call__
    parts = {
        id(trained.preprocessing): "preprocessing",
        id(trained.network): "network",
        id(trained.model): "model",
    }

    def call(self, images, *args, **kwargs):
        if id(self) in parts and not tf.inside_function():
            found.setdefault(parts[id(self)], []).append(np.asarray(images))
        return plain(self, images, *args, **kwargs)

    monkeypatch.setattr(keras.layers.Layer, "__call__", call)
    return found


@pytest.mark.parametrize("wrt", ["flux", "stretched"])
def test_each_step_is_made_once(trained, cutouts, counts, wrt):
    methods = [Saliency(), CAM(), GradCAM(), SmoothGrad(2)]
    rows = explain(trained, cutouts, explainers=methods, wrt=wrt)
    assert (counts["prepare"], counts["images"]) == (N, 1)
    assert (counts["cam"], counts["gradcam"]) == (1, 1)
    assert rows[0][1].coarse is not None
    assert rows[0][2].coarse is not None
    flux = images_from(cutouts)
    assert sum(np.array_equal(images, flux) for images in counts["preprocessing"]) == 1
    # Beside it the noise, by one sigma up and down in each of two bands, and the image of no flux.
    assert len(counts["preprocessing"]) == 1 + 2 * 2 + 1
    (stretched,) = counts["network"]
    np.testing.assert_array_equal(stretched, np.asarray(trained.preprocessing(flux, training=False)))
    assert "model" not in counts


def test_what_nobody_asks_for_is_not_made(trained, cutouts, counts):
    seen = Prepared.of(trained, cutouts)
    assert not {"prepare", "preprocessing", "network"} & set(counts)
    explain_prepared(seen, explainers=[Saliency()], wrt="flux")
    explain_prepared(seen, explainers=[Saliency()], wrt="sigma")
    assert [len(counts[name]) for name in ("preprocessing", "network")] == [1, 1]


def test_maps_are_those_of_each_step_by_itself(trained, cutouts):
    """Bit by bit: preprocessing, noise behind it, targets and methods, each called by hand."""
    flux = images_from(cutouts)

    def stretch(images):
        return np.asarray(trained.preprocessing(images, training=False))

    stretched = stretch(flux)
    logits = np.asarray(trained.network(stretched, training=False))
    targets = [Target.of_prediction(row, trained.classes) for row in logits]
    sigma, variance = np.full_like(flux, 3.0), np.zeros_like(flux)
    for band in range(2):
        step = np.zeros_like(flux)
        step[..., band] = 3.0
        variance += ((stretch(flux + step) - stretch(flux - step)) / 2) ** 2
    mask, ids = np.zeros(flux.shape, bool), ("a", "b", "c")
    in_flux = Context(sigma=sigma, mask=mask, ids=ids)
    in_stretched = Context(np.sqrt(variance), mask, None, ids, stretch(np.zeros_like(flux[:1]))[0])
    methods = [Saliency(), SmoothGrad(3), CAM(), GradCAM()]
    for wrt in ("flux", "stretched"):
        rows = explain(trained, cutouts, explainers=methods, wrt=wrt, ids=ids)
        for column, method in enumerate(methods):
            if wrt == "flux" and method.kind == "slope":
                maps = method(trained.model, flux, targets, context=in_flux)
            else:
                maps = method(trained.network, stretched, targets, context=in_stretched)
            for row, image in zip(rows, np.moveaxis(maps, -1, 1), strict=True):
                own = image if method.per_band else image[:1]
                np.testing.assert_array_equal(row[column].attribution, own)
        cells = CAM().fine_and_coarse(trained.network, stretched, targets)[1]
        for row, coarse, target, scores in zip(rows, cells, targets, logits, strict=True):
            np.testing.assert_array_equal(row[2].coarse.values, coarse)
            assert row[0].score == pytest.approx(float(scores @ np.array(target.weights)), rel=1e-6)


def test_cutouts_of_another_shape_or_unit_are_refused(trained, cutouts):
    with pytest.raises(ValueError, match=r"bands, unit, shape.*Prepare the cutouts"):
        Prepared.of(trained, [cutouts[0], replace(cutouts[1], bands=("r", "g"))])
