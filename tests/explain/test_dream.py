"""DeepDream: the gradient is the layer's own activation, images of any size keep their grid and unit."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy import ndimage
from skimage.transform import resize

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.explain import Dream, activations
from galcnn.explain.network.dream import by_tiles, energy_gradient, scaled, tiles
from galcnn.files import save_cutout
from galcnn.layers import read_syntheses
from galcnn.model import save_model
from galcnn.viewers.side_files import files_figure
from tests.conftest import toy_images
from tests.explain import builds
from tests.explain.builds import flat, linear, mixed

IMAGES = builds.IMAGES[:3]

SMALL = Dream("conv1_1", octaves=2, steps=3, seed=4)


def a_cutout(shape=(16, 16)):
    images, _ = toy_images(1, seed=3, size=max(shape))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.4 / 3600, 0.4 / 3600]
    wcs.wcs.crval, wcs.wcs.crpix = [150, 2], [8.5, 8.5]
    return Cutout(np.moveaxis(images[0], -1, 0)[:, : shape[0], : shape[1]], ("g", "r"), wcs=wcs)


def test_of_a_linear_layer_the_gradient_is_the_weighted_activation():
    """Logits z = W x + b: d(sum w z^2 / 2)/dx = W (w z)."""
    network, w = linear()
    weights = np.array([0.5, 0.0, 2.0], "float32")
    logits = activations(network, IMAGES, layers=["logits"])["logits"]
    expected = np.einsum("yxbc,nc->nyxb", w, logits * weights)
    found = energy_gradient(network, IMAGES, weights, "logits")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_of_any_layer_it_is_the_slope_of_half_the_mean_square():
    network, weights = flat(of=mixed), np.full(4, 0.25, "float32")
    slope = energy_gradient(network, IMAGES, weights, "norm")
    change = np.random.default_rng(1).normal(size=IMAGES.shape).astype("float32") * 1e-2

    def energy(images):
        return 0.5 * np.mean(
            activations(network, images, layers=["norm"])["norm"].astype(float) ** 2, axis=(1, 2, 3)
        )

    rise = (energy(IMAGES + change) - energy(IMAGES - change)) / 2
    np.testing.assert_allclose(np.sum(slope * change, axis=(1, 2, 3)), rise, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 5), (1, 3), (3, 21), (13, 7)])
def test_tiles_cover_an_image_of_any_size_once(shape):
    image = np.random.default_rng(0).normal(size=(*shape, 2)).astype("float32")
    cut = tiles(image, (4, 5))
    assert cut.shape == (-(-shape[0] // 4) * -(-shape[1] // 5), 4, 5, 2)
    whole = np.pad(image, [(0, -shape[0] % 4), (0, -shape[1] % 5), (0, 0)], mode="symmetric")
    np.testing.assert_array_equal(cut[-1], whole[-4:, -5:], "beyond the edge the image goes on mirrored")
    np.testing.assert_array_equal(by_tiles(image, (4, 5), lambda tiles: 3 * tiles), 3 * image)


@pytest.mark.parametrize("shape", [(13, 29), (30, 11), (50, 60), (37, 41)])
def test_an_image_is_scaled_as_scikit_image_scales_it(shape):
    """Smaller, larger, mixed and the same; skimage's "symmetric" mirrors at the edge of the last pixel."""
    image = np.random.default_rng(1).normal(size=(37, 41, 2)).astype("float32")
    sigmas = [max(0, (n / wanted - 1) / 2) for n, wanted in zip((37, 41), shape, strict=True)]
    smooth = ndimage.gaussian_filter(image, (*sigmas, 0), mode="reflect")
    expected = resize(smooth, (*shape, 2), order=1, mode="symmetric", anti_aliasing=False)
    np.testing.assert_allclose(scaled(image, shape), expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(16, 16), (37, 21)])
def test_a_dream_stays_on_the_grid_and_in_the_unit_and_raises_the_energy(trained, shape):
    cutout = a_cutout(shape)
    before = trained.model.get_weights()
    made = SMALL(trained, cutout, id="a")
    assert made.image.shape == cutout.flux.shape
    np.testing.assert_array_equal(made.start, cutout.flux)
    assert (made.unit, made.wrt, made.network_layer, made.method) == ("nJy", "flux", "conv1_1", "dream")
    assert made.success
    assert made.score > 1.05 * made.start_score
    low, high = (pick(made.start, axis=(1, 2), keepdims=True) for pick in (np.min, np.max))
    room = 1e-3 * (high - low)
    assert np.all((made.image >= low - room) & (made.image <= high + room)), "no brighter than the galaxy"
    if shape == (16, 16):  # one tile: the score is the mean square of the model's own activations
        image = np.moveaxis(made.image, 0, -1)[np.newaxis]
        maps = activations(trained.model, image, layers=["network/conv1_1"])["network/conv1_1"]
        assert made.score == pytest.approx(0.5 * np.mean(maps.astype(float) ** 2), rel=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.model.get_weights(), strict=True))
    again = SMALL(trained, cutout, id="a")
    np.testing.assert_allclose(again.image, made.image, rtol=1e-3, atol=1e-2)
    assert not np.allclose(SMALL(trained, cutout, id="b").image, made.image, rtol=1e-2)


def test_each_step_has_its_length_in_what_the_network_sees(trained):
    cutout = a_cutout()
    one = Dream("conv1_1", octaves=1, steps=1, step=0.02)(trained, cutout)
    seen = trained.preprocessing.predict(np.moveaxis(np.stack([one.image, one.start]), 1, -1), verbose=0)
    assert np.sqrt(np.mean((seen[0] - seen[1]).astype(float) ** 2)) == pytest.approx(0.02, rel=0.1), (
        "but for what was cut off"
    )


def test_one_channel_grows_alone_and_masked_pixels_stay_out(trained):
    cutout = a_cutout()
    mask = np.zeros((16, 16), bool)
    mask[3, 4] = True
    made = Dream("conv1_1", channel=2, octaves=1, steps=4)(trained, replace(cutout, mask=mask))
    assert made.target.name == "channel 2"
    assert made.target.weights.index(1.0) == 2
    assert np.isnan(made.image[:, 3, 4]).all()
    assert np.isnan(made.image).sum() == 2
    assert made.success


def test_what_cannot_be_is_refused(trained):
    with pytest.raises(ValueError, match="a channel from 0 to 7"):
        Dream("conv1_1", channel=8)(trained, a_cutout())
    with pytest.raises(ValueError, match="a network layer among"):
        Dream("conv9")(trained, a_cutout())
    for fields in ({"octaves": 0}, {"steps": 0}, {"ratio": 1.0}, {"step": 0.0}):
        with pytest.raises(ValueError, match="at least one octave"):
            Dream("conv1_1", **fields)


def test_from_the_command_line_many_at_once_and_resumed(trained, tmp_path, capsys):
    save_model(trained, tmp_path / "model")
    for name, shape in (("one", (16, 16)), ("wide", (20, 40))):
        save_cutout(a_cutout(shape), tmp_path / f"{name}.fits")
    images = [str(tmp_path / "one.fits"), str(tmp_path / "wide.fits")]
    words = ["dream", str(tmp_path / "model"), *images, "--layer", "conv1_1", "--out", str(tmp_path / "out")]
    words += ["--octaves", "1", "--steps", "2", "--quiet"]
    assert main([*words, "--save", str(tmp_path / "dreams.png")]) == 0
    assert (tmp_path / "dreams.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    files = sorted((tmp_path / "out").glob("[!.]*"))
    assert [file.name for file in files] == ["one-dream.fits", "wide-dream.fits"]
    (made,) = read_syntheses(files[1])
    figure, _ = files_figure({"wide": (files[1],)})
    start, image, tenfold, once = figure.axes[:4]
    assert start.get_title() == f"wide\n{made.start_score:.3g} at conv1_1"
    assert image.get_title() == f"dream\n{made.score:.3g} at conv1_1"
    change = made.perturbation.sum(axis=0, dtype=float)
    np.testing.assert_allclose(once.images[0].get_array(), change)
    np.testing.assert_allclose(tenfold.images[0].get_array(), 10 * change)
    assert made.image.shape == (2, 20, 40)
    with fits.open(files[1]) as hdulist:
        name = next(hdu.name for hdu in hdulist if hdu.name.startswith("DIFF_DREAM"))
        np.testing.assert_array_equal(hdulist[name].data, made.perturbation[0])
        expected = a_cutout((20, 40)).wcs.wcs_pix2world([[3, 4]], 0)
        np.testing.assert_allclose(WCS(hdulist[name].header).wcs_pix2world([[3, 4]], 0), expected, atol=1e-10)
    times = [file.stat().st_mtime_ns for file in files]
    files[0].unlink()
    assert main(words) == 0
    assert files[0].exists()
    assert files[1].stat().st_mtime_ns == times[1], "the same dream is kept"
    capsys.readouterr()
    assert main([*words, "--seed", "1"]) == 2, "another dream"
    assert "--overwrite" in capsys.readouterr().err
    assert files[1].stat().st_mtime_ns == times[1]
    assert main([*words, "--seed", "1", "--overwrite"]) == 0
    assert files[1].stat().st_mtime_ns != times[1]
    capsys.readouterr()
    assert main([*words[:-3], "--layer", "conv9", "--out", str(tmp_path / "none")]) == 2
    assert "conv1_1_activation" in capsys.readouterr().err
