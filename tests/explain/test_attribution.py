"""From cutouts to Explanations: units, defaults, masks, and the slope by finite steps of real flux."""

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import astropy.units as u
import keras
import numpy as np
import pytest

from galcnn._runtime import progress
from galcnn.cutout import Cutout
from galcnn.explain import (
    CAM,
    GradCAM,
    InputXGradient,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
    explain,
)
from galcnn.model import Target, TrainedModel, forward, images_from, prepare
from galcnn.prediction import predict
from tests.conftest import toy_images


@pytest.fixture(scope="module")
def cutouts():
    images, _ = toy_images(4, seed=5)
    planes = np.moveaxis(images, -1, 1)
    return [Cutout(p, ("g", "r"), sigma=np.full(p.shape, 3.0)) for p in planes]


def test_the_score_is_the_logit_and_the_default_target_the_answer(trained, cutouts):
    prediction = predict(trained, cutouts)
    for row, (saliency, cam) in enumerate(explain(trained, cutouts, explainers=[Saliency(), CAM()])):
        column = trained.classes.index(prediction.best[row])
        other = trained.classes[1 - column]
        assert saliency.target.name == cam.target.name == f"{prediction.best[row]}-{other}"
        margin = float(prediction.logits[row, column] - prediction.logits[row, 1 - column])
        assert saliency.score == pytest.approx(margin, rel=1e-4)
        assert margin > 0
        assert (saliency.wrt, saliency.unit) == ("stretched", "(training sigma)-1")
        assert (saliency.unit_label, saliency.bands) == ("logit per training sigma", ("g", "r"))
        assert (cam.wrt, cam.unit, cam.bands) == ("stretched", "", ("all",))
        assert saliency.field == cam.field == (0, 16, 0, 16)
        assert saliency.delta is None


def test_a_slope_is_per_unit_of_the_image_however_that_is_written(trained, cutouts):
    rate = u.electron / u.s
    card = replace(trained.card, inputs=replace(trained.card.inputs, unit=str(rate)))
    counting = TrainedModel(trained.model, card)
    ((map_,),) = explain(counting, [replace(cutouts[0], unit=rate)], explainers=[Saliency()], wrt="flux")
    assert u.Unit(map_.unit) == rate**-1


def test_by_default_the_maps_are_three_and_of_what_the_network_sees(trained, cutouts):
    (row,) = explain(trained, cutouts[:1])
    assert [(one.method, one.wrt, one.unit) for one in row] == [
        ("occlusion", "stretched", ""),
        ("integrated_gradients", "stretched", ""),
        ("cam", "stretched", ""),
    ]
    path = row[1]
    assert path.settings["baseline"] == "sky"
    assert path.attribution.sum() == pytest.approx(path.score - path.baseline_score, rel=0.05)
    assert f"{path.score:.2f} instead of {path.baseline_score:.2f} for blank sky" in path.meaning


def test_a_default_method_that_a_network_does_not_support_is_left_out_with_a_warning():
    inputs = keras.Input((16, 16, 1))
    head = keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(inputs)))
    with pytest.warns(UserWarning, match="without cam: Expected a network that ends in GlobalAverage"):
        (row,) = explain(keras.Model(inputs, head), np.ones((1, 16, 16, 1), "float32"))
    assert [one.method for one in row] == ["occlusion", "integrated_gradients"]
    assert row[0].unit_label == "logit"
    small = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (row,) = explain(small, np.ones((1, 4, 4, 1), "float32"))
    assert "without occlusion: Expected a patch within 4 x 4" in str(said[0].message)
    assert [one.method for one in row] == ["integrated_gradients"]


def test_the_unit_of_a_slope_is_that_of_what_the_network_sees(trained, cutouts, tmp_path):
    from galcnn.layers import LayerStack

    prediction = predict(trained, cutouts[:1], ids=["a"])
    for wrt, label in (("stretched", "logit per training sigma"), ("sigma", "logit per sigma of noise")):
        (row,) = explain(trained, cutouts[:1], explainers="saliency", wrt=wrt)
        assert row[0].unit_label == label
        hdulist = LayerStack(cutouts[0], prediction, row).to_hdulist()
        header = next(hdu.header for hdu in hdulist if hdu.name.startswith("SAL"))
        assert (header["BUNIT"], header["SEEN"]) == (label, "[1:16,1:16]")
        (again,) = LayerStack.from_hdulist(hdulist).explanations
        assert (again.unit, again.unit_label, again.field) == (row[0].unit, label, (0, 16, 0, 16))


def test_a_flux_map_predicts_what_a_little_more_flux_does(trained, cutouts):
    """The map in nJy-1 times a change in nJy is the change of the logit, to first order."""
    target = Target.margin("thin", "round", trained.classes)
    ((map_,),) = explain(trained, cutouts[:1], explainers=[Saliency()], target=target, wrt="flux")
    rng = np.random.default_rng(1)
    change = rng.normal(size=(2, 16, 16)).astype("float32") * 0.02

    def score(cutout):
        return float(predict(trained, [cutout]).logits[0] @ np.array(target.weights, dtype="float32"))

    up = score(replace(cutouts[0], flux=cutouts[0].flux + change))
    down = score(replace(cutouts[0], flux=cutouts[0].flux - change))
    # Kinks of ReLU and pooling are crossed by some pixels: a few per cent.
    assert (up - down) / 2 == pytest.approx(float((map_.attribution * change).sum()), rel=0.1, abs=2e-4)


def test_sigma_is_flux_times_noise_and_needs_it(trained, cutouts):
    flux = explain(trained, cutouts, explainers=[Saliency()], wrt="flux")
    sigma = explain(trained, cutouts, explainers=[Saliency()], wrt="sigma")
    for (a,), (b,) in zip(flux, sigma, strict=True):
        np.testing.assert_allclose(b.attribution, 3 * a.attribution, rtol=1e-5)
        assert (b.wrt, b.unit) == ("sigma", "")
    with pytest.raises(ValueError, match=r"the noise of every pixel.*without_sigma=1"):
        explain(
            trained, [*cutouts[:2], replace(cutouts[2], sigma=None)], explainers=[Saliency()], wrt="sigma"
        )
    with pytest.raises(ValueError, match="wrt among"):
        explain(trained, cutouts, explainers=[Saliency()], wrt="noise")


def test_masked_pixels_have_no_map(trained, cutouts):
    mask = np.zeros((2, 16, 16), bool)
    mask[0, 3, 4] = mask[:, 8, 9] = True
    ((saliency, cam),) = explain(trained, [replace(cutouts[0], mask=mask)], explainers=[Saliency(), CAM()])
    np.testing.assert_array_equal(np.isnan(saliency.attribution), mask)
    assert np.isnan(cam.attribution[0, 8, 9])
    assert np.isnan(cam.attribution).sum() == 1, "a pixel seen in one band has its place in the shared map"


@dataclass(frozen=True)
class Recorder:
    """A method of somebody else's: it sees what the protocol promises."""

    strength: float = 2.0
    seed: int = 4
    name: ClassVar[str] = "recorder"
    per_band: ClassVar[bool] = True
    kind: ClassVar[str] = "features"

    def __call__(self, network, images, target, *, context=None):
        self.seen.append((network, images, target, context))
        return images * self.strength

    seen: ClassVar[list] = []


def test_a_plugin_gets_images_targets_and_context_and_its_settings_are_kept(trained, cutouts):
    targets = [Target.of_class(name, trained.classes) for name in ("thin", "round", "thin", "thin")]
    Recorder.seen.clear()
    rows = explain(trained, cutouts, explainers=[Recorder()], target=targets, ids=list("abcd"))
    ((network, images, seen, context),) = Recorder.seen
    assert network is trained.network
    assert list(seen) == targets
    assert context.ids == ("a", "b", "c", "d")
    # On what the network sees, the noise is that behind the stretch: to first order slope times sigma.
    flux = images_from(cutouts)
    softening = np.asarray(trained.preprocessing.layers[1].softening)
    deviation = np.asarray(trained.preprocessing.layers[2].deviation)
    slope = 1 / np.sqrt(flux**2 + softening**2) / deviation
    np.testing.assert_allclose(context.sigma, 3 * slope, rtol=0.05)
    np.testing.assert_allclose(
        context.zero, np.asarray(trained.preprocessing(np.zeros((1, 16, 16, 2), "float32")))[0]
    )
    assert not context.mask.any()
    stretched = trained.preprocessing.predict(images_from(cutouts), verbose=0)
    np.testing.assert_allclose(images, stretched, rtol=1e-5, atol=1e-6)
    for row, ((explanation,), target) in enumerate(zip(rows, targets, strict=True)):
        assert explanation.settings == {"strength": 2.0, "seed": 4}
        assert (explanation.seed, explanation.target, explanation.wrt) == (4, target, "stretched")
        np.testing.assert_allclose(explanation.attribution, 2 * np.moveaxis(images[row], -1, 0), rtol=1e-6)


def test_more_cutouts_than_a_batch_come_in_order(trained):
    images, _ = toy_images(70, seed=8)
    many = [Cutout(np.moveaxis(image, -1, 0), ("g", "r")) for image in images]
    target = Target.of_class("thin", trained.classes)
    rows = explain(trained, many, explainers=[Saliency()], target=target)
    logits = predict(trained, many).logits[:, 1]
    np.testing.assert_allclose([row[0].score for row in rows], logits, rtol=1e-3, atol=1e-4)
    for wrong in ({"target": [target] * 3}, {"target": [target] * 65}, {"ids": ["a"] * 65}):
        with pytest.raises(ValueError, match=r"one .*for each of 64 "):
            explain(trained, many[:64], explainers=[Saliency()], **wrong)


@pytest.mark.parametrize(("baseline", "n"), [("zero", 512), ("sky", 512), ("blurred", 128)])
@pytest.mark.parametrize("wrt", ["flux", "stretched", "sigma"])
def test_integrated_gradients_say_their_own_error(trained, cutouts, baseline, n, wrt):
    """An amount of logits is the same whether flux is counted in nJy or in sigmas."""
    method = IntegratedGradients(n, baseline=baseline)
    for row, cutout in zip(explain(trained, cutouts, explainers=[method], wrt=wrt), cutouts, strict=True):
        (explanation,) = row
        assert (explanation.wrt, explanation.unit) == ("flux" if wrt == "sigma" else wrt, "")
        difference = explanation.score - explanation.baseline_score
        assert abs(explanation.delta) < 0.03 * abs(difference) + 0.02
        assert explanation.delta == pytest.approx(explanation.attribution.sum() - difference, abs=1e-4)
        if baseline == "zero":  # flux and stretched start from the same image
            blank = replace(cutout, flux=np.zeros_like(cutout.flux))
            weights = np.array(explanation.target.weights)
            expected = float(predict(trained, [blank]).logits[0] @ weights)
            assert explanation.baseline_score == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_the_delta_of_integrated_gradients_holds_with_masked_pixels(trained, cutouts):
    mask = np.zeros((2, 16, 16), bool)
    mask[:, 4:9, 5:8] = True
    masked = [replace(cutout, mask=mask) for cutout in cutouts]
    for baseline in ("zero", "sky", "blurred"):
        for wrt in ("flux", "stretched"):
            method = IntegratedGradients(512, baseline=baseline)
            for ((explanation),) in explain(trained, masked, explainers=[method], wrt=wrt):
                difference = explanation.score - explanation.baseline_score
                assert abs(explanation.delta) < 0.03 * abs(difference) + 0.02


def test_maps_of_features_name_their_network_layer(trained, cutouts):
    ((cam, grad, early),) = explain(
        trained, cutouts[:1], explainers=[CAM(), GradCAM(), GradCAM("conv1_1_activation")], wrt="sigma"
    )
    assert cam.network_layer == grad.network_layer
    assert trained.network.get_layer(cam.network_layer) is trained.network.layers[-4]
    assert early.network_layer == "conv1_1_activation"
    assert {e.wrt for e in (cam, grad, early)} == {"stretched"}
    assert not np.allclose(early.attribution, grad.attribution)


def test_smoothgrad_in_flux_draws_from_the_sigma_map(trained, cutouts):
    """Of no noise to speak of it is the gradient; of a hundred times the noise it is another map."""
    target = Target.of_class("thin", trained.classes)
    quiet = [replace(c, sigma=np.full_like(c.flux, 1e-6)) for c in cutouts]
    loud = [replace(c, sigma=np.full_like(c.flux, 300.0)) for c in cutouts]
    for wrt in ("flux", "stretched"):
        plain = explain(trained, cutouts, explainers=[Saliency()], target=target, wrt=wrt)
        for a, b, c in zip(
            plain,
            explain(trained, quiet, explainers=[SmoothGrad()], target=target, wrt=wrt),
            explain(trained, loud, explainers=[SmoothGrad()], target=target, wrt=wrt),
            strict=True,
        ):
            scale = np.abs(a[0].attribution).max()
            np.testing.assert_allclose(b[0].attribution, a[0].attribution, atol=1e-3 * scale)
            assert not np.allclose(c[0].attribution, a[0].attribution, atol=0.1 * scale)
            assert (b[0].seed, b[0].settings["noise"], b[0].unit) == (
                0,
                "sigma",
                "nJy-1" if wrt == "flux" else "(training sigma)-1",
            )


def test_without_sigma_the_noise_is_that_of_the_sky(trained, cutouts):
    """3 nJy, as the toys have it: the maps with the sigma map and without are alike."""
    target = Target.of_class("thin", trained.classes)
    blind = [replace(cutout, sigma=None) for cutout in cutouts]
    method = SmoothGrad(n=400)
    known = explain(trained, cutouts, explainers=[method], target=target)
    measured = explain(trained, blind, explainers=[method], target=target)
    for (a,), (b,) in zip(known, measured, strict=True):
        assert np.corrcoef(a.attribution.ravel(), b.attribution.ravel())[0, 1] > 0.9


def test_occlusion_and_input_x_gradient_are_amounts_on_the_cutouts_grid(trained, cutouts):
    ((product, occlusion),) = explain(
        trained, cutouts[:1], explainers=[InputXGradient(), Occlusion(4, 4)], wrt="sigma"
    )
    ((slope,),) = explain(trained, cutouts[:1], explainers=[Saliency()], wrt="flux")
    np.testing.assert_allclose(product.attribution, slope.attribution * cutouts[0].flux, rtol=1e-4, atol=1e-6)
    assert (product.wrt, product.unit, occlusion.bands) == ("flux", "", ("all",))


def test_every_map_comes_back_from_its_layers_file(trained, cutouts, tmp_path):
    from galcnn.layers import LayerStack

    methods = [
        IntegratedGradients(4, baseline="sky", seed=5),
        SmoothGrad(3),
        GradCAM(),
        Occlusion(4, 4, "blurred", 2.0),
    ]
    (row,) = explain(trained, cutouts[:1], explainers=methods, ids=["a"])
    prediction = predict(trained, cutouts[:1], ids=["a"])
    LayerStack(cutouts[0], prediction, row).write(tmp_path / "l.fits")
    for before, after in zip(row, LayerStack.read(tmp_path / "l.fits").explanations, strict=True):
        np.testing.assert_array_equal(before.attribution, after.attribution)
        for name in ("method", "settings", "wrt", "unit", "seed", "network_layer", "delta", "score"):
            assert getattr(before, name) == getattr(after, name), name


@pytest.mark.parametrize(
    ("method", "description", "steps"),
    [
        (SmoothGrad(n=3), "smoothgrad", 4 * 3),
        (IntegratedGradients(n=5), "integrated_gradients", 4 * 5),
        (Occlusion(8, 8), "occlusion", 4 * 4),
        (Saliency(), "batches", 4),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("patience", [0.0, 60.0], ids=["longer than a second", "shorter"])
def test_a_long_call_says_how_far_it_is_and_a_short_one_nothing(
    trained, cutouts, monkeypatch, method, description, steps, patience
):
    monkeypatch.setattr(progress, "_on_terminal", lambda: True)
    monkeypatch.setattr(progress, "_PATIENCE", patience)
    monkeypatch.setattr(forward, "_PIXELS", 16 * 16)  # one image a batch
    seen = []
    with progress.bars("explain", 1):
        display = progress._DISPLAY.get().bars
        update = display.update

        def watched(task, **fields):
            update(task, **fields)
            seen.extend(
                (t.description, t.completed, t.total) for t in display.tasks if t.visible and t.id > 0
            )

        monkeypatch.setattr(display, "update", watched)
        explain(trained, cutouts, explainers=[method], wrt="stretched", ids=list("abcd"))
    own = [(done, total) for name, done, total in seen if name == description]
    assert own == ([(i, steps) for i in range(1, steps + 1)] if patience == 0 else [])


def test_images_of_another_shape_are_fitted_where_that_is_said(trained, cutouts):
    cutout, inputs = cutouts[0], trained.card.inputs
    wider = Cutout(np.pad(cutout.flux, ((0, 0), (2, 2), (2, 2)), mode="edge"), cutout.bands, unit=cutout.unit)
    with pytest.raises(ValueError, match="fit=True"):
        explain(trained, [wider], explainers=[Saliency()])
    ((map_,),) = explain(trained, [wider], explainers=[Saliency()], fit=True)
    ((expected,),) = explain(trained, [prepare(wider, inputs, fit=True)], explainers=[Saliency()])
    np.testing.assert_array_equal(map_.attribution, expected.attribution)
