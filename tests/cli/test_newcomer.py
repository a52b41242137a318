"""The commonest mistakes of a newcomer: each is answered in one sentence that names the remedy."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.model import save_model
from tests.conftest import toy_images

#: What was typed -> the exit code, and words that the answer must hold.
MISTAKES = {
    "no command": ("", 0, ("Data", "Train", "Answer", "Reason", "Show", "train ")),
    "a mistyped command": ("trian --out model", 2, ("No such command 'trian'", "Did you mean 'train'?")),
    "a mistyped option": ("train --catalogue labels.csv", 2, ("--catalogue", "--catalog")),
    "a wrong column": (
        "train --catalog labels.csv --label kind --out new",
        2,
        ("--label", "kind", "class_name"),
    ),
    "a table for a TOML": ("train labels.csv --out new", 2, ("labels.csv", "TOML", "--catalog")),
    "a model folder to view": ("view model", 2, ("model", "galcnn explain")),
    "a misspelled file": ("explain model galaxi.fits --out new.fits", 2, ("File not found: galaxi.fits",)),
    "bands on several grids": ("explain model g.fits r.fits --one-galaxy --out new.fits", 2, ("--grid",)),
    "a JPEG to redshift": ("redshift picture.jpg --to 0.3 --out far", 2, ("holds no flux", "FITS")),
    "an existing output": ("explain model galaxy.fits --out old.fits", 2, ("old.fits", "--overwrite")),
    "one band for a model of two": ("explain model g.fits --out new.fits", 2, ("g, r", "--one-galaxy")),
    "a wrong class": (
        "explain model galaxy.fits --target spirl --out new.fits",
        2,
        ("--target", "spirl", "Did you mean 'spiral'?"),
    ),
}


@pytest.fixture
def desk(trained, tmp_path, monkeypatch):
    """A model, a few files and a table in the current folder."""
    monkeypatch.chdir(tmp_path)
    prior = {"elliptical": 0.5, "spiral": 0.5}
    card = replace(
        trained.card, classes=("elliptical", "spiral"), class_prior=prior, trained_prior=dict(prior)
    )
    named = replace(trained, card=card)
    save_model(named, "model")
    images, _ = toy_images(2)
    planes = np.moveaxis(images, -1, 1)
    sky = WCS({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1.1e-4, "CDELT2": 1.1e-4})
    save_cutout(Cutout(planes[0], ("g", "r"), sky), "galaxy.fits")
    save_cutout(Cutout(planes[0][:1], ("g",), sky), "g.fits")
    save_cutout(Cutout(planes[0][1:, :14], ("r",), sky), "r.fits")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save("picture.jpg")
    Table({"id": ["a"], "image": ["galaxy.fits"], "class_name": ["spiral"]}).write("labels.csv")
    (tmp_path / "old.fits").write_bytes(b"mine")
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_a_sentence(mistake, desk, capsys):
    words, code, said = MISTAKES[mistake]
    before = sorted(desk.rglob("*"))
    assert main(words.split()) == code
    captured = capsys.readouterr()
    answer = captured.err if code else captured.out
    for word in said:
        assert word in answer, answer
    if code:
        assert len(answer.strip().splitlines()) <= 2, answer
    assert "Traceback" not in answer
    assert sorted(desk.rglob("*")) == before
