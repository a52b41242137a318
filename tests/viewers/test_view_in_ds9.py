"""`galcnn view` in the real DS9: over a real SAMP hub, and by the exported script."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from PIL import Image

from galcnn.layers import write_into
from galcnn.transforms import crop
from galcnn.viewers import export
from galcnn.viewers.contents import layers_of
from galcnn.viewers.samp import send
from tests.layers.test_original import a_wcs, an_image, of
from tests.viewers.screen import DS9, ended, needs_ds9
from tests.viewers.test_view import SHAPE, stack_with_features

pytestmark = [pytest.mark.full, needs_ds9]


@pytest.fixture(scope="module")
def hub_and_ds9(environment, img_tcl):
    """A hub in DS9's home, and DS9 connected to it."""
    home = environment["HOME"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    hub = [sys.executable, "-m", "galcnn.cli.main", "view", "--hub"]
    command = ["ds9", "-title", "galcnn_samp", "-source", str(img_tcl), "-geometry", "1200x900"]
    with ended(subprocess.Popen(hub, env=environment, **quiet)), pytest.MonkeyPatch.context() as patch:
        waited_for("the hub", lambda: Path(home, ".samp").exists())
        patch.setenv("HOME", home)
        with ended(subprocess.Popen(command, env=environment, **quiet)):
            program = DS9(environment, "galcnn_samp")
            waited_for("DS9 at the hub", lambda: connected(program))
            yield program


def connected(program):
    try:
        return program.get("samp") == "yes"
    except RuntimeError:
        return False


def waited_for(what, ready):
    end = time.monotonic() + 90
    while not ready():
        assert time.monotonic() < end, f"{what}: not within a minute and a half"
        time.sleep(0.3)


def read_back(program, path, names):
    """Values and positions that DS9 gives for each frame: the table of the closing note."""
    rows = []
    for frame, name in zip(program.get("frame", "all").split(), names, strict=True):
        program.set("frame", frame)
        assert program.get("file").endswith(f"[{name}]")
        layer = next(layer for layer in layers_of(path) if layer.name == name)
        for x, y in [(1, 1), (SHAPE[1], SHAPE[0]), (21, 26)]:
            program.set("crosshair", str(x), str(y), "image")
            ra, dec = map(float, program.get("crosshair", "wcs", "icrs", "degrees").split())
            expected = layer.wcs.wcs_pix2world([[x, y]], 1)[0]
            offset = np.hypot((ra - expected[0]) * np.cos(np.deg2rad(dec)), dec - expected[1]) * 3600
            rows.append((name, x, y, layer.data[y - 1, x - 1], program.pixel(x, y), offset))
    return rows


def test_view_lays_the_file_out_over_samp(hub_and_ds9, tmp_path):
    folder = tmp_path / "a [1] folder"  # brackets mean something to DS9
    folder.mkdir()
    path = folder / "layers.fits"
    stack_with_features().write(path)
    assert send(path) == ["SAOImageDS9: 5 frames"]
    names = ["SCI_G", "SCI_R", "SAL_SPIRAL_G", "SAL_SPIRAL_R", "CAM_EDGE_ON_DISC"]
    rows = read_back(hub_and_ds9, path, names)
    assert len(rows) == 15
    for name, x, y, value, read, offset in rows:
        assert read == pytest.approx(value, rel=1e-5), (name, x, y)
        assert offset < 0.01, (name, x, y)
    if os.environ.get("GALCNN_DS9_TABLE"):  # for the closing note
        lines = [f"{n},{x},{y},{v:.6g},{r:.6g},{o:.1e}" for n, x, y, v, r, o in rows]
        with open(os.environ["GALCNN_DS9_TABLE"], "w") as handle:
            handle.write("layer,x,y,file,DS9,arcsec\n" + "\n".join(lines) + "\n")
    hub_and_ds9.set("frame", "5")
    low, high = map(float, hub_and_ds9.get("scale", "limits").split())
    assert low == -high
    assert hub_and_ds9.get("cmap") == "h5_bluered"
    hub_and_ds9.set("frame", "1")
    assert (hub_and_ds9.get("cmap"), hub_and_ds9.get("scale")) == ("grey", "asinh")
    assert send(path) == ["SAOImageDS9: 5 frames"]
    assert len(hub_and_ds9.get("frame", "all").split()) == 10, "what was open stays"


def saved(environment, script, img_tcl, picture, *words):
    command = ["sh", str(script), "-title", picture.stem, "-source", str(img_tcl), "-geometry", "1200x900"]
    command += [*words, "-saveimage", "png", str(picture), "-exit"]
    subprocess.run(command, env=environment, timeout=120, check=True, capture_output=True)
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_exported_line_draws_contours_and_mask(environment, img_tcl, tmp_path):
    path = tmp_path / "my layers.fits"
    stack_with_features().write(path)
    export(path, tmp_path / "view")
    script = tmp_path / "view" / "ds9.sh"
    with_overlay = saved(environment, script, img_tcl, tmp_path / "with.png")
    if os.environ.get("GALCNN_DS9_PICTURE_VIEW"):  # to look at it
        shutil.copy(tmp_path / "with.png", os.environ["GALCNN_DS9_PICTURE_VIEW"])
    bare = re.sub(r" -(contour|mask) (load|color|transparency) ('[^']*'|\S+)", "", script.read_text())
    (tmp_path / "view" / "bare.sh").write_text(bare)
    without = saved(environment, tmp_path / "view" / "bare.sh", img_tcl, tmp_path / "without.png")
    assert with_overlay.shape == without.shape
    yellow = {n: ((p[..., :2] > 220).all(axis=2) & (p[..., 2] < 60)).sum() for n, p in
              (("with", with_overlay), ("without", without))}  # fmt: skip
    reddish = {n: ((p[..., 0] > p[..., 1] + 40) & (p[..., 1] == p[..., 2]))[:350, :800].sum() for n, p in
               (("with", with_overlay), ("without", without))}  # fmt: skip
    assert yellow["with"] > 300 > yellow["without"] == 0, "contours of the map over the galaxy"
    assert reddish["with"] > reddish["without"] + 300, "mask over the images"


def test_our_contours_lie_on_ds9_s_own(ds9, tmp_path):
    path = tmp_path / "layers.fits"
    stack_with_features().write(path)
    export(path, tmp_path / "view")
    text = (tmp_path / "view" / "CAM_EDGE_ON_DISC.ctr").read_text()
    level = re.search(r"level=(\S+)", text)[1]
    ds9.set("file", f"{path}[CAM_EDGE_ON_DISC]")
    ds9.set("contour", "smooth", "1")
    ds9.set("contour", "method", "smooth")
    ds9.set("contour", "yes")
    ds9.set("contour", "levels", f"{{{level}}}")
    ds9.set("contour", "save", str(tmp_path / "theirs.ctr"), "wcs", "icrs")
    wcs = stack_with_features().cutout.wcs

    def pixels(content):
        points = np.array(re.findall(r"^ (\S+) (\S+)\s*$", content, re.M), dtype=float)
        return np.stack(wcs.world_to_pixel(SkyCoord(points[:, 0], points[:, 1], unit="deg")), axis=1)

    own = pixels(text.split("level=")[1])
    theirs = pixels((tmp_path / "theirs.ctr").read_text())
    assert len(theirs) > 20
    distance = np.array([np.hypot(*(own - point).T).min() for point in theirs])
    assert np.median(distance) < 0.5, "pixels"


def test_ds9_reads_maps_beside_a_survey_s_own_image(ds9, tmp_path):
    """On the grid of the original: value and place on the sky, and nothing where the cutout is not."""
    wcs = a_wcs(30)
    image = an_image(wcs)
    path = tmp_path / "survey.fits"
    fits.PrimaryHDU(image.flux[0], wcs.to_header()).writeto(path)
    stack = of(crop(image, (12, 15), corner=(7, 20)))
    write_into(stack, path, append=True)
    ds9.set("file", f"{path}[SAL_LATE_R]")
    assert ds9.pixel(21, 8) == pytest.approx(stack.explanations[0].attribution[0, 0, 0], rel=1e-5)
    assert ds9.pixel(35, 19) == pytest.approx(stack.explanations[0].attribution[0, -1, -1], rel=1e-5)
    assert np.isnan(ds9.pixel(20, 8))
    ds9.set("crosshair", "21", "8", "image")
    ra, dec = map(float, ds9.get("crosshair", "wcs", "icrs", "degrees").split())
    np.testing.assert_allclose([ra, dec], wcs.wcs_pix2world([[21, 8]], 1)[0], atol=2e-6)
