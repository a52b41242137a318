"""From cutouts to Explanations: units, defaults, masks, and the slope by finite steps of real flux."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from galcnn.cutout import Cutout
from galcnn.explain import CAM, Saliency, Target, explain
from galcnn.inputs import images_from
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
        assert saliency.target.name == cam.target.name == prediction.best[row]
        column = trained.classes.index(prediction.best[row])
        assert saliency.score == pytest.approx(float(prediction.logits[row, column]), rel=1e-4)
        assert (saliency.wrt, saliency.unit, saliency.bands) == ("flux", "nJy-1", ("g", "r"))
        assert (cam.wrt, cam.unit, cam.bands) == ("stretched", "", ("all",))
        assert saliency.delta is None


def test_a_flux_map_predicts_what_a_little_more_flux_does(trained, cutouts):
    """The map in nJy-1 times a change in nJy is the change of the logit, to first order."""
    target = Target.margin("thin", "round", trained.classes)
    ((map_,),) = explain(trained, cutouts[:1], explainers=[Saliency()], targets=target, wrt="flux")
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
    rows = explain(trained, cutouts, explainers=[Recorder()], targets=targets, ids=list("abcd"))
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
    rows = explain(trained, many, explainers=[Saliency()], targets=target)
    logits = predict(trained, many).logits[:, 1]
    np.testing.assert_allclose([row[0].score for row in rows], logits, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="one target for each of"):
        explain(trained, many, explainers=[Saliency()], targets=[target] * 3)
