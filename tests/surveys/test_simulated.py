"""The embedded survey shows one sky, centred where it is asked to, with known truth."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from galcnn import plugins
from galcnn.errors import CoverageError
from galcnn.simulation import SIMULATED, from_catalog
from galcnn.simulation.drawing import model_image
from galcnn.simulation.population import CENTRE
from galcnn.surveys import SimulatedSurvey, Survey


@pytest.fixture(scope="module")
def survey():
    return SimulatedSurvey(seed=3, n_galaxies=60)


def test_it_enters_by_the_plugin_door():
    survey = plugins.load(plugins.SURVEYS, "simulated")()
    assert isinstance(survey, Survey)
    assert (survey.name, survey.bands) == ("simulated", ("g", "r", "i"))
    assert survey.pixel_scale == 0.4 * u.arcsec
    assert len(survey.catalog) == 600
    assert survey.radius.to_value(u.arcmin) == pytest.approx(40 / 60 * (np.sqrt(600) + 0.5))


def test_a_cutout_is_centred_on_the_position(survey):
    for width, side in ((25.6 * u.arcsec, 64), (0.213 * u.arcmin, 32), (0.4 * u.arcsec, 1)):
        where = survey.catalog.positions[4]
        cutout = survey.cutout(where, width)
        assert cutout.shape == (side, side)
        middle = cutout.wcs.pixel_to_world((side - 1) / 2, (side - 1) / 2)
        assert middle.separation(where) < 1e-6 * u.arcsec
        assert cutout.position is where
        assert cutout.pixel_scale.to_value(u.arcsec) == pytest.approx(0.4)


def test_the_image_is_the_galaxy_of_the_catalog_with_unit_noise(survey):
    galaxy = from_catalog(survey.catalog)[7]
    cutout = survey.cutout(survey.catalog.positions[7], 25.6 * u.arcsec)
    model = model_image(galaxy, observation=SIMULATED, shape=(64, 64), centre=(31.5, 31.5))
    residual = (cutout.flux - model) / cutout.sigma
    assert residual.mean() == pytest.approx(0, abs=4 / np.sqrt(residual.size))
    assert residual.var() == pytest.approx(1, abs=4 * np.sqrt(2 / residual.size))
    assert cutout.meta["galaxies"] == [galaxy.id]
    assert cutout.meta["seed"] == 3


def test_pointing_east_moves_the_galaxy_to_the_right(survey):
    # An elliptical, whose peak is its centre.
    row = int(np.flatnonzero(survey.catalog.labels == "elliptical")[0])
    where = survey.catalog.positions[row]
    east = where.directional_offset_by(90 * u.deg, 6 * u.arcsec)
    north = where.directional_offset_by(0 * u.deg, 4 * u.arcsec)
    y, x = np.unravel_index(np.argmax(survey.cutout(east, 40.4 * u.arcsec).flux[1]), (101, 101))
    assert (x - 50, y - 50) == (pytest.approx(15, abs=1), pytest.approx(0, abs=1))
    y, x = np.unravel_index(np.argmax(survey.cutout(north, 40.4 * u.arcsec).flux[1]), (101, 101))
    assert (x - 50, y - 50) == (pytest.approx(0, abs=1), pytest.approx(-10, abs=1))


def test_an_image_wider_than_the_patch_is_refused_before_it_fills_the_memory(survey):
    assert survey.radius.to_value(u.arcmin) == pytest.approx(5.497, abs=1e-3)
    with pytest.raises(ValueError, match=r"a width of at most 659\.6 arcsec"):
        survey.cutout(CENTRE, 400 * u.deg)


def test_a_wide_image_shows_every_galaxy_in_its_place(survey):
    faint_noise = SimulatedSurvey(3, 60, replace(SIMULATED, depth=(35, 35, 35), electrons_per_njy=(1e9,) * 3))
    cutout = faint_noise.cutout(CENTRE, 5 * u.arcmin, ("r",))
    positions = faint_noise.catalog.positions
    x, y = cutout.wcs.world_to_pixel(positions)
    side = cutout.shape[0]
    inside = (x > -0.5) & (x < side - 0.5) & (y > -0.5) & (y < side - 0.5)
    assert cutout.meta["galaxies"] == [faint_noise.catalog.ids[i] for i in np.flatnonzero(inside)]
    well_inside = np.flatnonzero(np.maximum(np.abs(x - side / 2), np.abs(y - side / 2)) < side / 2 - 60)
    assert len(well_inside) > 10
    for i in well_inside:
        galaxy = from_catalog(faint_noise.catalog)[i]
        if galaxy.morphology in ("merger", "irregular"):
            continue  # not symmetric about their centre
        column, row = round(float(x[i])), round(float(y[i]))
        box = cutout.flux[0, row - 4 : row + 5, column - 4 : column + 5].astype(float)
        assert np.unravel_index(np.argmax(box), box.shape) == (
            pytest.approx(4, abs=1),
            pytest.approx(4, abs=1),
        )
    expected = sum(from_catalog(faint_noise.catalog)[i].flux("r") for i in np.flatnonzero(inside))
    assert np.nansum(cutout.flux, dtype=float) == pytest.approx(expected, rel=0.03)


def test_the_same_request_gives_the_same_image(survey):
    where, width = survey.catalog.positions[2], 12.8 * u.arcsec
    first = survey.cutout(where, width)
    twin = SimulatedSurvey(seed=3, n_galaxies=60).cutout(where, width)
    assert np.array_equal(first.flux, twin.flux)
    # Through another frame the position differs in the last digits.
    turned = survey.cutout(where.galactic, width)
    np.testing.assert_allclose(turned.flux, first.flux, atol=1e-3 * first.sigma.min())
    one = survey.cutout(where, width, ("i",))
    assert np.array_equal(one.flux[0], first.flux[2])
    swapped = survey.cutout(where, width, ("i", "g"))
    assert np.array_equal(swapped.flux, first.flux[[2, 0]])
    assert swapped.bands == ("i", "g")


def test_another_request_has_other_noise_on_the_same_sky(survey):
    where = survey.catalog.positions[2]
    a = survey.cutout(where, 25.6 * u.arcsec)
    b = survey.cutout(where, 26.4 * u.arcsec)
    noise = (a.flux - b.flux[:, 1:-1, 1:-1]) / a.sigma
    assert noise.var() == pytest.approx(2, rel=0.1)
    other = SimulatedSurvey(seed=4, n_galaxies=60).cutout(where, 25.6 * u.arcsec)
    assert other.meta["galaxies"] == ["sim4-000002"]
    assert np.abs(other.flux - a.flux).max() > 20 * a.sigma.min()


def test_beyond_the_patch_there_is_nothing(survey):
    outside = CENTRE.directional_offset_by(40 * u.deg, survey.radius + 1 * u.arcsec)
    with pytest.raises(CoverageError, match="position within"):
        survey.cutout(outside, 10 * u.arcsec)
    edge = CENTRE.directional_offset_by(90 * u.deg, survey.radius - 0.1 * u.arcsec)
    cutout = survey.cutout(edge, 40 * u.arcsec)
    # The edge runs north-south through the middle: east, to the left, was not observed.
    assert cutout.masked_fraction == pytest.approx(0.5, abs=0.03)
    assert np.isnan(cutout.flux[:, :, :40]).all()
    assert np.isfinite(cutout.flux[:, :, 60:]).all()


@pytest.mark.parametrize(
    ("width", "bands", "word"),
    [
        (10 * u.arcsec, ("u",), "bands among"),
        (10 * u.arcsec, (), "bands among"),
        (0 * u.arcsec, None, "positive angle"),
        (10 * u.m, None, "positive angle"),
        (10, None, "positive angle"),
        ([1, 2] * u.arcsec, None, "positive angle"),
    ],
)
def test_what_cannot_be_observed_is_refused(survey, width, bands, word):
    with pytest.raises(ValueError, match=word):
        survey.cutout(CENTRE, width, bands)


def test_one_position_at_a_time(survey):
    with pytest.raises(ValueError, match="one sky position"):
        survey.cutout(SkyCoord([150, 150] * u.deg, [2, 2] * u.deg), 10 * u.arcsec)


def test_another_telescope_sees_the_same_sky():
    sharp = replace(SIMULATED, pixel_scale=0.2 * u.arcsec, psf_fwhm=(0.6, 0.6, 0.6), name="sharp")
    survey = SimulatedSurvey(3, 60, sharp)
    cutout = survey.cutout(survey.catalog.positions[0], 25.6 * u.arcsec)
    assert (cutout.shape, cutout.survey) == ((128, 128), "sharp")
    assert cutout.meta["galaxies"] == ["sim3-000000"]
