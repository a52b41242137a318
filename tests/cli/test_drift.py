"""galcnn drift: files in, a table and a word out."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.model import save_model
from galcnn.simulation.telescope import tangent_wcs
from tests.conftest import toy_images


@pytest.fixture(scope="module")
def folders(tmp_path_factory, trained):
    """A saved model, galaxies like its training, and fainter ones."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    root = tmp_path_factory.mktemp("drift")
    save_model(replace(trained), root / "model")
    wcs = tangent_wcs(
        SkyCoord(150 * u.deg, 2 * u.deg), (7.5, 7.5), pixel_scale=0.4 * u.arcsec, shape=(16, 16)
    )
    for name, seed, scale in (("near", 21, 1.0), ("same", 22, 1.0), ("far", 23, 0.2)):
        for i, image in enumerate(toy_images(24, seed=seed)[0]):
            cutout = Cutout(np.moveaxis(image, -1, 0) * np.float32(scale), ("g", "r"), wcs)
            save_cutout(cutout, root / name / f"{i}.fits")
    return root


@pytest.mark.parametrize(("name", "word"), [("same", "not shown to be unlike"), ("far", "are unlike")])
def test_fainter_galaxies_are_told_from_the_reference(folders, tmp_path, capsys, name, word):
    out = tmp_path / "drift.ecsv"
    words = ["drift", str(folders / "model"), str(folders / name), "--reference", str(folders / "near")]
    assert main([*words, "--quiet", "--out", str(out)]) == 0
    assert word in capsys.readouterr().out
    assert list(Table.read(out)["layer"][:1]) == ["input"]


def test_too_few_galaxies_are_refused(folders, capsys):
    words = ["drift", str(folders / "model"), str(folders / "far" / "0.fits")]
    assert main([*words, "--reference", str(folders / "near"), "--quiet"]) == 2
    assert "at least four galaxies" in capsys.readouterr().err
