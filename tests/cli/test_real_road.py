"""The road on real galaxies: Galaxy Zoo pictures, and calibrated FITS through the render step."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from galcnn.cli.main import main
from galcnn.dataset.splits import sdss_field
from galcnn.layers import LayerStack
from galcnn.model import load_model


@pytest.fixture(scope="module")
def zoo(real_data, tmp_path_factory):
    """A small model of Galaxy Zoo pictures: 30 of each class."""
    folder = tmp_path_factory.mktemp("zoo")
    table = Table.read(real_data / "gz1" / "labels.csv")
    rows = np.concatenate(
        [np.flatnonzero(table["class_name"] == name)[:30] for name in np.unique(table["class_name"])]
    )
    table = table[rows]
    table["file"] = [str(real_data / "gz1" / name) for name in table["file"]]
    table.write(folder / "labels.csv")
    words = [
        "train",
        "--catalog",
        str(folder / "labels.csv"),
        "--image-column",
        "file",
        "--label",
        "class_name",
    ]
    words += [
        "--id",
        "objid",
        "--merge",
        "spiral=spiral_cw,spiral_acw",
        "--drop",
        "dont_know",
        "--render",
        "sdss",
    ]
    words += [
        "--set",
        "training.balance=sqrt-weights",
        "--epochs",
        "2",
        "--set",
        "network.widths=8,8,8",
        "--set",
        "network.depth=1",
        "--batch-size",
        "16",
        "--quiet",
    ]
    assert main([*words, "--out", str(folder / "model")]) == 0
    return folder


def test_the_card_tells_what_a_picture_is(zoo):
    card = load_model(zoo / "model").card
    assert card.classes == ("edge_on", "elliptical", "merger", "spiral")
    assert (card.inputs.unit, card.inputs.pixel_scale, card.inputs.render) == ("display", None, "sdss")
    assert card.inputs.shape == (96, 96)
    assert card.data["counts"]["train"]["spiral"] + card.data["counts"]["test"]["spiral"] < 60
    # sqrt-weights: the believed prior goes with the square root of the frequency.
    roots = {name: p**0.5 for name, p in card.class_prior.items()}
    for name, p in card.trained_prior.items():
        assert p == pytest.approx(roots[name] / sum(roots.values()))


def test_the_split_keeps_sdss_fields_together(zoo):
    fields = {"-".join(map(str, sdss_field(name))) for name in Table.read(zoo / "model" / "test.ecsv")["id"]}
    rest = {"-".join(map(str, sdss_field(n))) for n in Table.read(zoo / "labels.csv")["objid"]} - fields
    assert len(fields) > 10
    assert not fields & rest


def test_pictures_are_classified_and_explained_without_a_wcs(zoo, real_data, tmp_path):
    image = sorted((real_data / "gz1" / "images").glob("*.jpg"))[0]
    out = tmp_path / "layers.fits"
    assert main(["explain", str(zoo / "model"), str(image), "--out", str(out), "--quiet"]) == 0
    stack = LayerStack.read(out)
    assert stack.cutout.wcs is None
    assert str(stack.cutout.unit) == "display"
    assert stack.id == image.stem
    with fits.open(out) as hdus:
        assert "BUNIT" not in hdus["SCI_R"].header
        assert "CTYPE1" not in hdus["SCI_R"].header
    table = tmp_path / "t.csv"
    assert main(["classify", str(zoo / "model"), str(image), "--out", str(table), "--quiet"]) == 0
    row = Table.read(table)[0]
    np.testing.assert_allclose(
        [row[f"p_{name}"] for name in ("edge_on", "elliptical", "merger", "spiral")],
        stack.prediction.probabilities[0],
        rtol=1e-4,
    )


def test_calibrated_fits_is_rendered_on_its_own_sky(zoo, real_data, tmp_path):
    """The maps lie on the sky where the galaxy lies, though the network saw a picture of it."""
    cube = real_data / "fits" / "decals_gz" / "example_a.fits"
    out = tmp_path / "layers.fits"
    words = [
        "explain",
        str(zoo / "model"),
        str(cube),
        "--fit",
        "--width",
        "40arcsec",
        "--out",
        str(out),
        "--quiet",
    ]
    assert main(words) == 0
    stack = LayerStack.read(out)
    with fits.open(cube) as hdus:
        names = [f"{key}{axis}" for key in ("CTYPE", "CRVAL", "CRPIX") for axis in (1, 2)]
        names += ["CD1_1", "CD1_2", "CD2_1", "CD2_2"]
        plain = WCS(fits.Header({name: hdus[0].header[name] for name in names}))
    sky = plain.pixel_to_world(254, 254)  # centre of 509 pixels
    centre = stack.cutout.wcs.pixel_to_world(47.5, 47.5)
    assert sky.separation(centre).arcsec < 0.3
    assert stack.cutout.pixel_scale.to_value("arcsec") == pytest.approx(40 / 96, rel=0.01)
    assert stack.provenance["render"] == "sdss"
    assert stack.cutout.meta["render"]["name"] == "sdss"
    assert stack.cutout.flux.min() >= 0
    assert stack.cutout.flux.max() <= 255


def test_a_model_of_pictures_refuses_flux_without_the_step(zoo, real_data, tmp_path, capsys):
    r_band = next((real_data / "fits" / "sdss_gadotti").glob("*/image.fits"))
    words = [
        "classify",
        str(zoo / "model"),
        str(r_band),
        "--out",
        str(tmp_path / "t.csv"),
        "--fit",
        "--quiet",
    ]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "None of 1 images could be classified" in said
    assert "Expected three bands of ('r',)" in said
