"""A layers file opens in the real DS9: pixel values, sky positions and picture, read back through XPA."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from galcnn.cutout import Cutout
from galcnn.explain import Explanation
from galcnn.files import save_cutout
from galcnn.layers import LayerStack
from galcnn.model import Target
from galcnn.prediction import Prediction
from galcnn.viewers.contents import layers_of
from galcnn.viewers.ds9 import scene
from tests.viewers.screen import TITLE, needs_ds9

pytestmark = [pytest.mark.full, needs_ds9]

SHAPE = (48, 56)
CLASSES = ("elliptical", "edge-on / disc", "spiral")


def a_stack():
    """Asymmetric in x and y, rotated by 30 degrees, with NaN and values from 1e-6 to 1e5."""
    ny, nx = SHAPE
    y, x = np.mgrid[:ny, :nx].astype(float)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [201.3650633, -43.0191125]
    wcs.wcs.crpix = [20.25, 30.75]
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    wcs.wcs.cd = np.array([[-cos, -sin], [-sin, cos]]) * 0.262 / 3600
    rng = np.random.default_rng(0)
    galaxy = 1e5 * np.exp(-np.hypot((x - 20) / 9, (y - 25) / 5)) + rng.normal(size=SHAPE)
    flux = np.stack([galaxy, 1.5 * galaxy + x - 1000 * y])
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:9, 40:50] = True
    slope = (1e-6 * rng.normal(size=(2, *SHAPE))).astype(np.float32)
    slope[:, mask] = np.nan
    coarse = (x - 2 * y)[np.newaxis] / 10
    explanations = (
        Explanation(slope, ("g", "r"), "saliency", Target.of_class("spiral", CLASSES), "flux", "nJy-1", 2.0),
        Explanation(
            coarse, ("all",), "cam", Target.of_class("edge-on / disc", CLASSES), "stretched", "", 2.0
        ),
    )
    cutout = Cutout(flux, ("g", "r"), wcs=wcs, mask=mask, sigma=np.full(flux.shape, 3.0))
    return LayerStack(cutout, Prediction(("NGC 5128",), [[0.0, 1.0, 2.0]], CLASSES), explanations)


@pytest.fixture(scope="module")
def layers_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ds9") / "layers.fits"
    a_stack().write(path)
    return path


@pytest.mark.parametrize("layer", ["SCI_G", "SCI_R", "MASK", "SIGMA_G", "SAL_SPIRAL_R", "CAM_EDGE_ON_DISC"])
def test_ds9_reads_the_values_of_each_layer_by_name(ds9, layers_file, layer):
    data = fits.getdata(layers_file, layer)
    ds9.set("file", f"{layers_file}[{layer}]")
    assert ds9.get("fits", "width") == str(SHAPE[1])
    assert ds9.get("fits", "height") == str(SHAPE[0])
    for x, y in [(1, 1), (SHAPE[1], 1), (1, SHAPE[0]), (21, 26), (45, 12)]:
        assert ds9.pixel(x, y) == pytest.approx(data[y - 1, x - 1], rel=1e-5), (x, y)


def test_ds9_sees_no_value_where_a_map_has_none(ds9, layers_file):
    ds9.set("file", f"{layers_file}[SAL_SPIRAL_G]")
    assert np.isnan(fits.getdata(layers_file, "SAL_SPIRAL_G")[4, 44])
    assert np.isnan(ds9.pixel(45, 5))


@pytest.mark.parametrize("layer", ["SCI_G", "SAL_SPIRAL_G", "CAM_EDGE_ON_DISC"])
def test_ds9_finds_the_same_place_on_the_sky(ds9, layers_file, layer):
    ds9.set("file", f"{layers_file}[{layer}]")
    wcs = a_stack().cutout.wcs
    for x, y in [(1, 1), (50, 7), (13, 44)]:
        ds9.set("crosshair", str(x), str(y), "image")
        ra, dec = map(float, ds9.get("crosshair", "wcs", "icrs", "degrees").split())
        expected = wcs.wcs_pix2world([[x, y]], 1)[0]
        offset = np.hypot((ra - expected[0]) * np.cos(np.deg2rad(dec)), dec - expected[1]) * 3600
        assert offset < 0.01  # arcsec; B1950, which DS9 assumes without RADESYS, is half a degree away


def test_ds9_shows_the_name_of_the_galaxy(ds9, layers_file):
    ds9.set("file", f"{layers_file}[CAM_EDGE_ON_DISC]")
    assert ds9.get("fits", "header", "keyword", "OBJECT") == "NGC 5128"
    assert ds9.get("fits", "header", "keyword", "METHOD") == "cam"


def test_ds9_draws_all_layers_and_saves_the_picture(ds9, layers_file, tmp_path):
    ds9.set("frame", "delete", "all")
    ds9.set("multiframe", str(layers_file))
    with fits.open(layers_file) as hdulist:
        images = [hdu.name for hdu in hdulist[1:] if hdu.is_image]
    assert len(ds9.get("frame", "all").split()) == len(images)
    first = ds9.get("frame", "all").split()[0]
    ds9.set("frame", first)
    assert "[SCI_G]" in ds9.get("file")
    ds9.set("mode", "none")
    ds9.set("view", "colorbar", "no")
    ds9.set("tile", "yes")
    ds9.set("tile", "grid", "layout", "4", "2")
    ds9.set("zoom", "to", "fit")
    ds9.set("match", "frame", "wcs")
    ds9.set("saveimage", "png", str(tmp_path / "all.png"))
    keep = os.environ.get("GALCNN_DS9_PICTURE")  # to look at it
    if keep:
        shutil.copy(tmp_path / "all.png", keep)
    with Image.open(tmp_path / "all.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert len(images) == 8
    shares = {}
    for i, name in enumerate(images):
        tile = np.array_split(np.array_split(pixels, 2, axis=0)[i // 4], 4, axis=1)[i % 4]
        shares[name] = (tile < 250).mean()  # DS9's background is white
        if name.startswith(("SCI", "SAL", "CAM")):
            assert len(np.unique(tile)) > 50, name
    # One WCS: the same piece of sky fills the same share of each tile, whatever the layer.
    assert 0.1 < shares["SIGMA_G"] < 0.9
    assert shares["SIGMA_R"] == pytest.approx(shares["SIGMA_G"], abs=0.01)
    assert shares["SCI_G"] == pytest.approx(shares["SIGMA_G"], abs=0.05)


def test_ds9_overlays_the_mask_from_the_command_line(environment, img_tcl, layers_file, tmp_path):
    saved = {}
    for name, extra in (
        ("plain", []),
        (
            "masked",
            ["-mask", "transparency", "0", "-mask", "color", "red", "-mask", "load", f"{layers_file}[MASK]"],
        ),
    ):
        path = tmp_path / f"{name}.png"
        command = [
            "ds9",
            "-title",
            f"{TITLE}_{name}",
            "-source",
            str(img_tcl),
            f"{layers_file}[SCI_R]",
            *extra,
        ]
        command += ["-zoom", "to", "fit", "-saveimage", "png", str(path), "-exit"]
        subprocess.run(command, env=environment, timeout=60, check=True, capture_output=True)
        with Image.open(path) as picture:
            saved[name] = np.asarray(picture.convert("RGB")).astype(int)
    red = {name: ((p[..., 0] > 200) & (p[..., 1:] < 60).all(axis=2)) for name, p in saved.items()}
    assert red["plain"].sum() == 0
    rows, columns = np.nonzero(red["masked"])
    # The mask is 10 x 6 pixels of 56 x 48, low and right of the centre.
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(10 / 6, rel=0.1)
    assert columns.mean() > saved["masked"].shape[1] / 2
    assert rows.mean() > saved["masked"].shape[0] / 2


def test_ds9_shows_each_band_of_a_file_of_a_cutout(ds9, tmp_path):
    """Its bands are planes of one cube, which the commands of a scene choose."""
    cutout = a_stack().cutout
    path = tmp_path / "cutout.fits"
    save_cutout(cutout, path)
    for layer, plane in zip(layers_of(path)[:2], cutout.flux, strict=True):
        alone = tmp_path / f"{layer.name}.fits"
        fits.PrimaryHDU(plane, layer.wcs.to_header()).writeto(alone)
        commands = [one for one in scene(str(path), [layer], {}) if one[0] in ("file", "cube")]
        pictures = []
        for name, words in (("cube", commands), ("alone", [("file", str(alone))])):
            for one in (*words, ("scale", "linear"), ("scale", "limits", "-4e4", "1e5"), ("zoom", "1")):
                ds9.set(*one)
            ds9.set("saveimage", "png", str(tmp_path / f"{name}.png"))
            with Image.open(tmp_path / f"{name}.png") as picture:
                pictures.append(np.asarray(picture.convert("RGB")))
        assert np.ptp(pictures[0]) > 100
        np.testing.assert_array_equal(*pictures)
