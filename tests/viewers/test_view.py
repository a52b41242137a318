"""What viewers are shown of a file: layers and their roles, contours, side files, a picture; and SAMP."""

import re
import shutil
import subprocess
import threading
from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.explain.explanation import CoarseMap
from galcnn.files import save_cutout
from galcnn.layers import write_into
from galcnn.model.cells import CellGrid
from galcnn.transforms import pad
from galcnn.viewers import export
from galcnn.viewers.contents import Layer, layers_of, window_of
from galcnn.viewers.ds9 import command_line, drawn_layers, samp_words, scene
from galcnn.viewers.isophotes import isophotes
from galcnn.viewers.plots.panels import layer_figure
from galcnn.viewers.side_files import contour_text, outlines, region_text
from tests.layers.test_version_1 import FILE
from tests.viewers.test_ds9 import SHAPE, a_stack


def stack_with_features():
    """A blob of evidence around pixel (22, 25), also as a coarse map."""
    stack = a_stack()
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    blob = 8 * np.exp(-(np.hypot((x - 22) / 8, (y - 25) / 8) ** 2)) - 2
    coarse = CoarseMap(blob[2::4, 2::4], CellGrid((2.0, 2.0), (4, 4), (9, 9)))
    slope, cam = stack.explanations
    cam = replace(cam, attribution=blob[np.newaxis], kind="features", coarse=coarse)
    return replace(stack, explanations=(replace(slope, kind="slope"), cam))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("view") / "my layers.fits"
    stack_with_features().write(file)
    return file


def test_every_layer_has_its_role(path):
    roles = {layer.name: layer.role for layer in layers_of(path)}
    assert roles == {
        "SCI_G": "science",
        "SCI_R": "science",
        "MASK": "mask",
        "SIGMA_G": "other",
        "SIGMA_R": "other",
        "SAL_SPIRAL_G": "map",
        "SAL_SPIRAL_R": "map",
        "CAM_EDGE_ON_DISC": "map",
        "CAM_EDGE_ON_DISC_CELLS": "coarse",
    }
    of_version_1 = {layer.name: layer.role for layer in layers_of(FILE)}
    assert of_version_1["SEGM"] == "segmentation"
    assert of_version_1["DIFF_FOOLING_SPIRAL_G"] == "difference"
    assert {of_version_1[name] for name in ("FOOLING_SPIRAL_G", "START_FOOLING_SPIRAL_G")} == {"synthesis"}


def test_what_has_no_images_is_refused(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "a.fits")
    with pytest.raises(UnreadableImageError, match="images of two axes"):
        layers_of(tmp_path / "a.fits")


def test_contours_of_a_circle_lie_on_the_circle():
    y, x = np.mgrid[:60, :80].astype(float)
    cone = 10 - np.hypot(x - 50, y - 20)
    layer = Layer("CONE", "map", cone, None, {})
    lines = outlines(layer, (slice(5, 40), slice(30, 75)))
    peak = np.abs(cone[5:40, 30:75]).max()
    for line in lines:
        radius = np.hypot(*(line.points - [50, 20]).T)
        np.testing.assert_allclose(radius, 10 - line.level, atol=0.1)
        assert abs(line.level) / peak in (0.25, 0.5, 0.75)
    assert len(lines) >= 4


def test_contours_stand_on_the_sky_and_count_pixels_from_1_without():
    wcs = a_stack().cutout.wcs
    line = outlines(Layer("A", "map", np.add.outer(np.arange(6.0), np.zeros(6)), wcs, {}))[0]
    assert line.level == 0.25 * 5
    np.testing.assert_allclose(line.points[:, 1], 1.25)
    numbers = np.array(re.findall(r"^ (\S+) (\S+)$", contour_text([line], wcs), re.M), dtype=float)
    sky = SkyCoord(numbers[:, 0], numbers[:, 1], unit="deg")
    x, y = wcs.world_to_pixel(sky)
    np.testing.assert_allclose(np.stack([x, y], axis=1), line.points, atol=1e-4)
    assert "\nimage\n" in contour_text([line], None)
    assert "segment(" in region_text([line], None)
    plain = re.search(r"segment\(([^)]*)\)", region_text([line], None))[1].split(",")
    np.testing.assert_allclose(np.array(plain, dtype=float).reshape(-1, 2), line.points + 1)


def test_flat_and_empty_layers_have_no_contours():
    for values in (np.zeros((5, 5)), np.full((5, 5), np.nan), np.ones((1, 5))):
        assert outlines(Layer("A", "map", values, None, {})) == ()
        assert outlines(Layer("A", "science", values, None, {})) == ()


def test_the_scene_is_symmetric_about_zero_and_links_the_mask(path):
    commands = list(scene("a.fits", layers_of(path), {"SCI_G": "c.ctr"}))
    assert commands.count(("frame", "new")) == 4
    limits = [c for c in commands if c[:2] == ("scale", "limits")]
    assert len(limits) == 3
    assert all(float(low) == -float(high) < 0 for _, _, low, high in limits)
    assert commands.count(("mask", "load", "a.fits[MASK]")) == 2
    assert ("contour", "load", "c.ctr") in commands
    assert samp_words(("mask", "load", "a b.fits[MASK]")) == "file mask {a b.fits[MASK]}"
    assert samp_words(("scale", "limits", "-1", "1")) == "scale limits -1 1"
    assert "'a b.fits[X]'" in command_line([("file", "a b.fits[X]")])


@pytest.mark.parametrize("name", ["X]} ; tcl {exec x", "A$B", "A;B", 'A"B', "A{B"])
def test_a_name_that_is_a_command_of_ds9_is_shown_by_its_number(name, tmp_path):
    path = tmp_path / "layers.fits"
    plane = np.ones((8, 8), np.float32)
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(plane, name="SCI"), fits.ImageHDU(plane, name=name)]
    ).writeto(path)
    layers = layers_of(path)
    assert [layer.name for layer in layers] == ["SCI", "2"]
    words = [samp_words(command) for command in scene(str(path), layers, {})]
    assert [word for word in words if word.startswith("file")] == [
        f"file {{{path}[{n}]}}" for n in ("SCI", "2")
    ]


def test_without_a_viewer_it_says_how_to_start_one(path, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SAMP_HUB", raising=False)
    assert main(["view", str(path)]) == 2
    said = capsys.readouterr().err
    assert "Start a viewer" in said
    assert "--save" in said
    assert main(["view"]) == 2
    assert main(["view", str(path), "--hub"]) == 2
    assert main(["view", "--hub", "--by", "random"]) == 2


def test_save_draws_without_a_viewer(path, tmp_path, capsys):
    assert main(["view", str(path), "--save", str(tmp_path / "a.png")]) == 0
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    red = (pixels[..., 0] > pixels[..., 2] + 80).mean()
    blue = (pixels[..., 2] > pixels[..., 0] + 80).mean()
    assert red > 0.01
    assert blue > 0.01
    assert main(["view", str(tmp_path / "none.fits"), "--save", str(tmp_path / "b.png")]) == 2


def test_of_a_large_image_the_part_with_maps_is_drawn(tmp_path):
    stack = stack_with_features()
    large = pad(Cutout(stack.cutout.flux, ("g", "r"), wcs=stack.cutout.wcs), (400, 500))
    flux = np.where(np.isfinite(large.flux), large.flux, 0.0)
    save_cutout(replace(large, flux=flux, mask=None), tmp_path / "large.fits")
    write_into(stack, tmp_path / "large.fits", append=True)
    rows, columns = window_of(layers_of(tmp_path / "large.fits"))
    assert (rows.stop - rows.start, columns.stop - columns.start) == SHAPE
    files = export(tmp_path / "large.fits", tmp_path / "out")
    assert tmp_path / "out" / "layers.png" in files
    line = (tmp_path / "out" / "SCI_R.ctr").read_text()
    numbers = np.array(re.findall(r"^ (\S+) (\S+)$", line, re.M), dtype=float)
    x, y = large.wcs.world_to_pixel(SkyCoord(numbers[:, 0], numbers[:, 1], unit="deg"))
    assert ((y > rows.start - 1) & (y < rows.stop) & (x > columns.start - 1) & (x < columns.stop)).all()


def test_export_writes_each_layer_alone_with_its_sky(path, tmp_path):
    out = tmp_path / "ex"
    assert main(["view", str(path), "--out", str(out)]) == 0
    names = sorted(file.name for file in out.iterdir())
    layers = layers_of(path)
    assert [n for n in names if n.endswith(".fits")] == sorted(f"{layer.name}.fits" for layer in layers)
    pictures = {f"{layer.name}.png" for layer in layers} | {"layers.png"}
    assert {n for n in names if n.endswith(".png")} == pictures, "a picture of everything"
    for layer in layers:
        data, header = fits.getdata(out / f"{layer.name}.fits", header=True)
        np.testing.assert_array_equal(data, layer.data)
        point = np.array([[3.0, 4.0]])
        np.testing.assert_allclose(WCS(header).wcs_pix2world(point, 0), layer.wcs.wcs_pix2world(point, 0))
    for name in ("CAM_EDGE_ON_DISC.ctr", "CAM_EDGE_ON_DISC.reg", "SCI_R.ctr", "SCI_R.reg", "layers.png"):
        assert name in names
    assert "/my layers.fits[SCI_G]'" in (out / "ds9.sh").read_text()
    assert subprocess.run(["sh", "-n", str(out / "ds9.sh")], timeout=10).returncode == 0
    if shutil.which("fitsverify"):
        for file in out.glob("*.fits"):
            done = subprocess.run(["fitsverify", "-q", str(file)], capture_output=True, text=True, timeout=30)
            assert done.stdout.startswith("verification OK"), done.stdout


def test_a_picture_of_a_layer_is_its_pixels_signed_or_grey():
    values = np.linspace(-1, 2, 12).reshape(3, 4)
    values[0, 0] = np.nan
    signed, grey = (layer_figure(values, "A", "nJy", signed=one).axes[0].images[0] for one in (True, False))
    for image in (signed, grey):
        np.testing.assert_array_equal(np.ma.filled(image.get_array(), np.nan), values)
        assert image.origin == "lower"
    assert signed.norm.vmin == -signed.norm.vmax
    assert grey.cmap.name == "gray"
    for empty in (np.full((3, 3), np.nan), np.zeros((3, 3)), np.ones((2, 2), dtype="uint8")):
        layer_figure(empty, "A", "", signed=False).draw_without_rendering()


def test_isophotes_are_around_light_and_not_around_a_hole():
    y, x = np.mgrid[:61, :61]
    radius = np.hypot(x - 30, y - 30)
    ring = np.exp(-(((radius - 14) / 4) ** 2))
    lines = isophotes(ring, np.ones(ring.shape, bool))
    assert {one.share for one in lines} == {0.05, 0.25}
    for one in lines:
        assert np.hypot(*(one.points - 30).T).min() > 14, "the outside of the ring only"
    # Smoothed by one pixel, the profile is a Gaussian of variance 4^2 / 2 + 1 to first order.
    quarter = next(one for one in lines if one.share == 0.25)
    reach = 14 + np.sqrt(2 * 9 * np.log(4))
    assert np.hypot(*(quarter.points - 30).T).mean() == pytest.approx(reach, abs=0.3)
    blob = np.exp(-((radius / 8) ** 2))
    assert len(isophotes(blob, np.ones(blob.shape, bool))) == 2
    assert isophotes(-blob, np.ones(blob.shape, bool)) == [], "a dark spot has none"


def test_names_that_are_no_file_names_stay_in_the_folder(tmp_path):
    y, x = np.mgrid[:20, :20]
    blob = np.exp(-np.hypot(x - 9, y - 9) / 3)
    images = [fits.ImageHDU(blob, name=name) for name in ("../evil", "a b/c")]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "odd.fits")
    files = export(tmp_path / "odd.fits", tmp_path / "out" / "deep")
    assert {file.parent for file in files} == {tmp_path / "out" / "deep"}
    assert {path.name for path in tmp_path.iterdir()} == {"odd.fits", "out"}
    assert sum(file.suffix == ".fits" for file in files) == 2
    assert not any(file.name == "layers.png" for file in files), "there is nothing explained"


def test_of_dreams_without_their_galaxy_image_and_difference_are_shown(tmp_path):
    from galcnn.layers import write_syntheses
    from tests.layers.test_version_1 import the_stacks

    _, dream, model = the_stacks()[0].syntheses
    write_syntheses(tmp_path / "dream.fits", [dream], wcs=a_stack().cutout.wcs)
    write_syntheses(tmp_path / "model.fits", [model])
    for name, figure in (("dream", "changes.png"), ("model", "class_models.png")):
        assert main(["view", str(tmp_path / f"{name}.fits"), "--save", str(tmp_path / f"{name}.png")]) == 0
        assert (tmp_path / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        names = {file.name for file in export(tmp_path / f"{name}.fits", tmp_path / f"of {name}")}
        assert figure in names
        assert {f"{layer.name}.png" for layer in layers_of(tmp_path / f"{name}.fits")} <= names
    shown = [layer.role for layer in drawn_layers(layers_of(tmp_path / "dream.fits"))]
    assert shown == ["synthesis"] * 4 + ["difference"] * 2, "image, start and difference in two bands"
    assert tmp_path / "out" / "ds9.sh" in export(tmp_path / "dream.fits", tmp_path / "out")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A real hub on this machine, found through a lock file in a home of its own."""
    from galcnn.viewers.samp import serve_hub

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SAMP_HUB", raising=False)
    stop, ready = threading.Event(), threading.Event()

    def wait():
        ready.set()
        stop.wait(60)

    thread = threading.Thread(target=serve_hub, args=(wait,))
    thread.start()
    assert ready.wait(20)
    yield tmp_path
    stop.set()
    thread.join(20)


def test_a_program_for_tables_gets_the_morphology_and_one_for_images_the_file(hub, path, capsys):
    from pyvo import samp

    got = {}
    with samp.conf.set_temp("use_internet", False):
        topcat = samp.SAMPIntegratedClient(name="tables", addr="127.0.0.1")
        aladin = samp.SAMPIntegratedClient(name="images", addr="127.0.0.1")

        def table(private_key, sender, message_id, kind, parameters, extra):
            got["table"] = Table.read(parameters["url"].removeprefix("file://"))
            topcat.ereply(message_id, samp.SAMP_STATUS_OK, result={})

        def image(private_key, sender, message_id, kind, parameters, extra):
            got["image"] = parameters["url"]
            aladin.ereply(message_id, samp.SAMP_STATUS_OK, result={})

        topcat.connect()
        aladin.connect()
        try:
            topcat.bind_receive_call("table.load.votable", table)
            aladin.bind_receive_call("image.load.fits", image)
            assert main(["view", str(path)]) == 0
        finally:
            topcat.disconnect()
            aladin.disconnect()
    said = capsys.readouterr().out
    assert "tables: table MORPHOLOGY" in said
    assert f"images: {path.name}" in said
    assert list(got["table"]["class"]) == ["elliptical", "edge-on / disc", "spiral"]
    assert got["table"]["probability"].sum() == pytest.approx(1)
    assert got["image"] == path.resolve().as_uri()


def test_a_second_hub_is_refused(hub):
    from galcnn.viewers.samp import serve_hub

    with pytest.raises(RuntimeError, match="no other hub"):
        serve_hub(lambda: None)


def test_a_hub_without_a_viewer_is_no_viewer(hub, path, capsys):
    assert main(["view", str(path)]) == 2
    assert "Start a viewer" in capsys.readouterr().err


def test_a_viewer_that_fails_is_named(hub, path):
    from pyvo import samp

    from galcnn.viewers.samp import send

    with samp.conf.set_temp("use_internet", False):
        broken = samp.SAMPIntegratedClient(name="broken", addr="127.0.0.1")

        def image(private_key, sender, message_id, kind, parameters, extra):
            broken.ereply(message_id, samp.SAMP_STATUS_ERROR, error={"samp.errortxt": "no memory"})

        broken.connect()
        try:
            broken.bind_receive_call("image.load.fits", image)
            with pytest.raises(RuntimeError, match="no memory"):
                send(path)
        finally:
            broken.disconnect()


def test_bands_of_a_file_of_a_cutout_are_layers_of_its_cubes(tmp_path):
    cutout = a_stack().cutout
    save_cutout(cutout, tmp_path / "a.fits")
    layers = layers_of(tmp_path / "a.fits")
    assert [layer.name for layer in layers] == ["SCI_G", "SCI_R", "MASK", "SIGMA_G", "SIGMA_R"]
    assert [layer.role for layer in layers] == ["science", "science", "mask", "other", "other"]
    np.testing.assert_array_equal(layers[1].data, cutout.flux[1])
    point = np.array([[3.0, 4.0]])
    np.testing.assert_allclose(layers[1].wcs.wcs_pix2world(point, 0), cutout.wcs.wcs_pix2world(point, 0))
    commands = list(scene("a.fits", layers, {}))
    at = commands.index(("cube", "2"))
    assert commands[at - 1] == ("file", "a.fits[SCI]")
    assert ("mask", "load", "a.fits[MASK]") in commands[at:]
    export(tmp_path / "a.fits", tmp_path / "out")
    data, header = fits.getdata(tmp_path / "out" / "SCI_R.fits", header=True)
    np.testing.assert_array_equal(data, cutout.flux[1])
    assert WCS(header).naxis == 2
    np.testing.assert_allclose(WCS(header).wcs_pix2world(point, 0), cutout.wcs.wcs_pix2world(point, 0))
