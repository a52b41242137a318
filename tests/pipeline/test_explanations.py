"""Files -> layer stacks: the calibrated answer is explained, and what one file does ends no other."""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from astropy.io import fits

from galcnn.cli.main import main
from galcnn.dataset import InputFiles, reader
from galcnn.explain import CAM, GradCAM, Saliency, attribution
from galcnn.layers import LayerStack
from galcnn.model import load_model, save_model
from galcnn.pipeline import ExplainSettings, explain_files, working_methods
from galcnn.prediction import Prediction, predict_images
from galcnn.uncertainty import (
    UncertaintyRecord,
    fit_conformal,
    fit_out_of_distribution,
    image_measures,
)
from galcnn.uncertainty.calibration import Calibration
from tests.conftest import toy_images

N = 6


@pytest.fixture
def road(trained, tmp_path):
    """A model folder, and files of which one is broken."""
    save_model(trained, tmp_path / "model")
    images, _ = toy_images(N, seed=8)
    paths = {}
    for i, image in enumerate(images):
        path = tmp_path / f"g{i}.fits"
        header = fits.Header({"BUNIT": "nJy", "BANDS": "g,r"})
        header.update(
            {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.4 / 3600, "CDELT2": 0.4 / 3600}
        )
        fits.PrimaryHDU(np.moveaxis(image, -1, 0), header).writeto(path)
        paths[f"g{i}"] = path
    paths["g2"].write_bytes(paths["g2"].read_bytes()[:3000])
    return tmp_path, InputFiles(paths, bands=("g", "r"))


def calibrate(folder, trained):
    """A record by which the other class is always the more probable."""
    images, truth = toy_images(120, seed=9)
    logits = predict_images(trained.model, images)
    prediction = Prediction(tuple(map(str, range(120))), logits, trained.classes)
    sets = fit_conformal(prediction, [trained.classes[i] for i in truth])
    sample = image_measures(images, trained.card.inputs), logits
    calibration = Calibration("vector", (0.01, 0.01), (-2.0, 2.0), 120)
    UncertaintyRecord(
        trained.card.model_sha256, calibration, sets, fit_out_of_distribution(*sample, *sample)
    ).write(folder)


def test_a_file_that_cannot_be_read_ends_no_other(road, capsys):
    folder, files = road
    trained, out = load_model(folder / "model"), {name: folder / f"{name}-l.fits" for name in files.ids}
    found = dict(
        zip(files.ids, explain_files(trained, files, ExplainSettings((CAM(),)), out=out), strict=True)
    )
    assert [name for name, one in found.items() if isinstance(one, Exception)] == ["g2"]
    assert "g2.fits" in str(found["g2"])
    assert [path.exists() for path in out.values()] == [True, True, False, True, True, True]
    words = [str(folder / f"g{i}.fits") for i in range(N)]
    assert (
        main(["explain", str(folder / "model"), *words, "--bands", "g,r", "--out", f"{folder}/l/", "--quiet"])
        == 2
    )
    said = capsys.readouterr()
    assert "not explained: Galaxy g2" in said.err
    assert "1 of 6 images could not be explained" in said.err
    assert said.out.count("wrote ") == N - 1 == len(list((folder / "l").glob("*.fits")))


def test_a_file_is_prepared_once_and_the_network_is_asked_once(road, monkeypatch):
    folder, files = road
    trained, calls = load_model(folder / "model"), Counter()
    for module, name in ((reader, "prepare"), (attribution, "prepare"), (attribution, "images_from")):
        function = getattr(module, name)

        def counted(*args, function=function, name=name, **kwargs):
            calls[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)
    plain = keras.layers.Layer.__call__

    def call(self, images, *args, **kwargs):
        if self in (trained.model, trained.network) and not tf.inside_function():
            calls[self.name, len(images)] += 1
        return plain(self, images, *args, **kwargs)

    monkeypatch.setattr(keras.layers.Layer, "__call__", call)
    made = list(explain_files(trained, files, ExplainSettings((Saliency(), CAM()))))
    assert sum(isinstance(one, LayerStack) for one in made) == N - 1
    # The broken file is never prepared.
    assert calls == {"prepare": N - 1, "images_from": 1, (trained.network.name, N - 1): 1}


def test_the_calibrated_answer_is_explained(road):
    folder, files = road
    plain = load_model(folder / "model")
    settings, out = (
        ExplainSettings((Saliency(), CAM())),
        {name: folder / f"{name}-l.fits" for name in files.ids},
    )
    before = [one for one in explain_files(plain, files, settings, out=out) if isinstance(one, LayerStack)]
    assert {stack.prediction.best[0] for stack in before} == {"round", "thin"}
    assert "calibration" not in before[0].provenance
    calibrate(folder / "model", plain)
    trained = load_model(folder / "model")
    refused = list(explain_files(trained, files, settings, out=out))
    assert all(isinstance(one, Exception) for one in refused), "an older answer is not replaced unasked"
    made = explain_files(trained, files, settings, out=out, overwrite=True)
    after = [one for one in made if isinstance(one, LayerStack)]
    for raw, stack in zip(before, after, strict=True):
        assert stack.prediction.best == ("thin",)
        expected = 0.01 * raw.prediction.logits + [-2, 2]
        np.testing.assert_allclose(stack.prediction.logits, expected, rtol=1e-5)
        assert {e.target.name for e in stack.explanations} == {"thin-round"}
        # The map is of the network's own logits: calibration has no gradient to the image of its own.
        margin = float(raw.prediction.logits[0, 1] - raw.prediction.logits[0, 0])
        assert stack.explanations[0].score == pytest.approx(margin, rel=1e-4)
        assert stack.provenance["calibration"]["bias"] == [-2.0, 2.0]
        assert LayerStack.read(out[stack.id]).prediction.best == ("thin",)


def test_a_file_of_another_question_is_refused_and_left_as_it_is(road, capsys):
    folder, _ = road
    out = folder / "layers.fits"
    words = ["explain", str(folder / "model"), str(folder / "g0.fits"), "--bands", "g,r", "--out", str(out)]
    words += ["--method", "saliency", "--quiet"]
    assert main(words) == 0
    written, time = out.read_bytes(), out.stat().st_mtime_ns
    assert main(words) == 0, "the same question: read, not made again"
    assert main([*words, "--target", "thin-round"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out.read_bytes(), out.stat().st_mtime_ns) == (written, time)
    assert main([*words, "--target", "thin-round", "--overwrite"]) == 0
    assert {e.target.name for e in LayerStack.read(out).explanations} == {"thin-round"}


def test_one_trial_leaves_out_what_cannot_work(road):
    folder, files = road
    trained = load_model(folder / "model")
    both = ExplainSettings((GradCAM("conv9"), CAM()))
    for own in (files, None):  # on an image, on noise
        kept, reasons = working_methods(trained, both, files=own)
        assert kept == ExplainSettings((CAM(),))
        assert "network_layer='conv9'" in reasons["gradcam"]
        with pytest.raises(ValueError, match="conv9"):
            working_methods(trained, both, files=own, named=both.explainers)
    # These images know nothing of their noise: a trial on one of them finds it, one on noise does not.
    sigma = ExplainSettings((Saliency(), CAM()), wrt="sigma")
    assert working_methods(trained, sigma, files=files)[0].explainers == (CAM(),)
    assert working_methods(trained, sigma)[0] == sigma
