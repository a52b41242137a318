"""`galcnn explain --append` and `--onto`: several models in one file, maps beside the survey's own image."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.files import load_cutout, save_cutout
from galcnn.layers import LayerStack, read_stacks
from galcnn.model import save_model
from galcnn.transforms import crop
from tests.conftest import toy_images


@pytest.fixture(scope="module")
def models(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_model(trained, folder / "one")
    save_model(replace(trained, card=replace(trained.card, settings={"seed": 2})), folder / "two")
    return folder


@pytest.fixture
def field(tmp_path):
    """A survey image of 40 x 50 pixels with a galaxy, and the cutout of it."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [20, 20]
    wcs.wcs.cdelt = [-0.4 / 3600, 0.4 / 3600]
    flux = np.random.default_rng(0).normal(0, 3, (2, 40, 50)).astype(np.float32)
    flux[:, 10:26, 20:36] = np.moveaxis(toy_images(1, seed=5)[0][0], -1, 0)
    image = Cutout(flux, ("g", "r"), wcs=wcs)
    save_cutout(image, tmp_path / "field.fits")
    save_cutout(crop(image, (16, 16), corner=(10, 20)), tmp_path / "galaxy.fits")
    return tmp_path


def explain(models, name, field, *words):
    return main(["explain", str(models / name), str(field / "galaxy.fits"), *map(str, words), "--quiet"])


def test_a_second_model_is_appended_once(trained, models, field):
    out = field / "layers.fits"
    assert explain(models, "one", field, "--segmentation", "--target", "thin", "--out", out) == 0
    before = out.read_bytes()
    for _ in range(2):
        assert explain(models, "two", field, "--method", "saliency", "--append", "--out", out) == 0
    assert explain(models, "one", field, "--method", "gradcam", "--append", "--out", out) == 0
    assert out.read_bytes()[: len(before)] == before
    stacks = read_stacks(out)
    assert [stack.provenance["model"] for stack in stacks] == ["one", "two", "one"]
    assert [[e.method for e in stack.explanations] for stack in stacks] == [
        ["occlusion", "integrated_gradients", "cam"],
        ["saliency"],
        ["gradcam"],
    ]
    labels = stacks[0].segmentation
    assert labels[8, 8] == 1
    assert (labels == 0).any()
    cam = stacks[0].explanations[2]
    assert cam.kind == "features"
    assert cam.coarse.values.shape == (2, 2)
    bias = trained.network.get_layer("logits").get_weights()[1][trained.classes.index(cam.target.name)]
    assert cam.coarse.values.mean() + bias == pytest.approx(cam.score, rel=1e-4, abs=1e-4)
    with fits.open(out) as hdulist:
        names = [hdu.name for hdu in hdulist]
        assert sum(name.startswith("SCI") for name in names) == 2, "the cutout stands there once"


def test_maps_stand_on_the_pixels_of_the_original(models, field, capsys):
    how = ("--method", "saliency")
    assert explain(models, "one", field, *how, "--out", field / "layers.fits") == 0
    onto = (*how, "--onto", field / "field.fits")
    assert explain(models, "one", field, *onto, "--out", field / "new.fits") == 0
    expected = LayerStack.read(field / "layers.fits").explanations[0].attribution
    (got,) = read_stacks(field / "new.fits")
    assert got.explanations[0].attribution.shape == (2, 40, 50)
    np.testing.assert_array_equal(got.explanations[0].attribution[:, 10:26, 20:36], expected)
    assert np.isnan(got.explanations[0].attribution).sum() == 2 * (40 * 50 - 256)
    original = (field / "field.fits").read_bytes()
    assert (field / "new.fits").read_bytes()[: len(original)] == original
    assert explain(models, "one", field, *onto, "--append") == 0
    grown = (field / "field.fits").read_bytes()
    assert grown[: len(original)] == original
    assert len(grown) > len(original)
    capsys.readouterr()
    assert explain(models, "one", field, *onto, "--append") == 0
    assert "has these maps already" in capsys.readouterr().out
    assert (field / "field.fits").read_bytes() == grown
    assert load_cutout(field / "field.fits").shape == (40, 50)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--out"),
        (["--onto", "field.fits"], "--onto with --out for a new file, or with --append"),
        (["--onto", "none.fits", "--append"], "an existing file"),
        (["--onto", "field.fits", "--out", "field.fits"], "another file than --onto"),
        (["--onto", "field.fits", "--append", "--out", "x.fits"], "--onto with --out for a new file"),
    ],
)
def test_what_contradicts_itself_is_said_before_the_work(models, field, words, said, capsys, monkeypatch):
    monkeypatch.chdir(field)
    before = (field / "field.fits").read_bytes()
    assert explain(models, "one", field, *words) == 2
    assert said in capsys.readouterr().err
    assert (field / "field.fits").read_bytes() == before
