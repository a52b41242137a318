"""A folder of files as a survey: found by place, by catalog; by value."""

import hashlib

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from galcnn.catalog import write_table
from galcnn.errors import CoverageError, UnreadableImageError
from galcnn.files import load_cutout, save_cutout
from galcnn.surveys import FetchSettings, SimulatedSurvey, Survey, fetch, open_survey
from galcnn.surveys.folder import FolderSurvey
from galcnn.surveys.survey import RemoteSurvey
from galcnn.testing import check_survey
from tests.surveys.served import some_catalog

MIDDLE = SkyCoord(150, 60, unit="deg")


def write(path, *, middle=MIDDLE, side=100, level=1.0, band="g", arcsec=0.5, wcs=True):
    """An image whose pixel (x, y) holds level + x + 1000 y."""
    grid = WCS(naxis=2)
    grid.wcs.ctype, grid.wcs.crval = ["RA---TAN", "DEC--TAN"], [middle.ra.deg, middle.dec.deg]
    grid.wcs.crpix, grid.wcs.cdelt = [(side + 1) / 2] * 2, [-arcsec / 3600, arcsec / 3600]
    y, x = np.mgrid[:side, :side]
    header = grid.to_header() if wcs else fits.Header()
    header["BUNIT"] = "nJy"
    if band:
        header["FILTER"] = band
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(level + x + 1000.0 * y, header).writeto(path)
    return path


def test_a_damaged_file_is_named_where_its_galaxy_is_not_found(tmp_path):
    write(tmp_path / "whole.fits")
    west = MIDDLE.directional_offset_by(270 * u.deg, 5 * u.arcmin)
    broken = write(tmp_path / "broken.fits", middle=west)
    broken.write_bytes(broken.read_bytes()[:9000])
    survey = FolderSurvey(str(tmp_path))
    assert survey.cutout(MIDDLE, 10 * u.arcsec).shape == (20, 20)
    with pytest.raises(UnreadableImageError, match=r"damaged=\['broken.fits'\]"):
        survey.cutout(west, 10 * u.arcsec)
    broken.unlink()
    with pytest.raises(CoverageError):
        FolderSurvey(str(tmp_path)).cutout(west, 10 * u.arcsec)


def test_a_position_is_found_on_the_file_that_shows_most_of_it(tmp_path):
    east = MIDDLE.directional_offset_by(90 * u.deg, 40 * u.arcsec)
    g = write(tmp_path / "one_g.fits")
    write(tmp_path / "east_g.fits", middle=east, level=7.0)
    write(tmp_path / "one_r.fits.gz", band="r", level=3.0)
    (tmp_path / "notes.fits").write_text("no image")
    write(tmp_path / "blind.fits", wcs=False)
    survey = FolderSurvey(str(tmp_path))
    assert isinstance(survey, Survey)
    assert not isinstance(survey, RemoteSurvey)
    assert set(survey.bands) == {"g", "r"}
    assert survey.pixel_scale.to_value(u.arcsec) == pytest.approx(0.5)
    cutout = survey.cutout(MIDDLE, 10 * u.arcsec, ("r", "g"))
    assert (cutout.bands, cutout.shape, cutout.unit) == (("r", "g"), (20, 20), u.nJy)
    y, x = np.mgrid[40:60, 40:60]
    assert np.array_equal(cutout.flux, [3 + x + 1000 * y, 1 + x + 1000 * y])
    used = {one["url"]: one["sha256"] for one in cutout.meta["requests"]}
    assert used[g.resolve().as_uri()] == hashlib.sha256(g.read_bytes()).hexdigest()
    there = survey.cutout(east, 10 * u.arcsec, ("g",))
    assert there.flux[0, 0, 0] == 7 + 40 + 40_000
    # At the edge of both, 20 arcsec east: pixel 9.5 of the first, 89.5 of the other.
    between = MIDDLE.directional_offset_by(90 * u.deg, 22 * u.arcsec)
    assert np.isfinite(survey.cutout(between, 5 * u.arcsec, ("g",)).flux).all()


def test_beyond_the_files_is_not_covered(tmp_path):
    write(tmp_path / "g.fits")
    survey = FolderSurvey(str(tmp_path))
    for away in (1 * u.arcmin, 30 * u.deg, 180 * u.deg):
        with pytest.raises(CoverageError):
            survey.cutout(MIDDLE.directional_offset_by(10 * u.deg, away), 10 * u.arcsec)
    with pytest.raises(CoverageError, match="in r"):
        FolderSurvey(str(tmp_path), filters="g,r").cutout(MIDDLE, 10 * u.arcsec)


def test_the_image_of_a_catalog_is_taken_and_no_other_opened(tmp_path):
    east = MIDDLE.directional_offset_by(90 * u.deg, 5 * u.arcsec)
    write(tmp_path / "images" / "a.fits")
    write(tmp_path / "images" / "b.fits", middle=east, level=9.0)
    (tmp_path / "images" / "broken.fits").write_text("no image")
    where = SkyCoord([MIDDLE, east, MIDDLE.directional_offset_by(0 * u.deg, 1 * u.deg)])
    table = QTable({"id": ["a", "b", "c"], "ra": where.ra, "dec": where.dec})
    table["image"] = ["images/a.fits", "b.fits", "images/broken.fits"]
    write_table(table, tmp_path / "catalog.ecsv")
    survey = FolderSurvey(str(tmp_path / "images"), catalog=str(tmp_path / "catalog.ecsv"))
    # Both files show both places: the catalog says which is whose.
    assert survey.cutout(where[0], 10 * u.arcsec).flux[0, 0, 0] == 1 + 40 + 40_000
    assert survey.cutout(where[1], 10 * u.arcsec).flux[0, 0, 0] == 9 + 40 + 40_000
    with pytest.raises(CoverageError, match=r"that .*catalog[.]ecsv holds"):
        survey.cutout(MIDDLE.directional_offset_by(0 * u.deg, 3 * u.arcsec), 10 * u.arcsec)
    with pytest.raises(UnreadableImageError):
        survey.cutout(where[2], 10 * u.arcsec)


def test_bands_that_files_do_not_name_are_those_of_their_names(tmp_path):
    write(tmp_path / "ngc1-g.fits", band=None, level=5.0)
    write(tmp_path / "ngc1-r.fits", band=None, level=6.0)
    cutout = FolderSurvey(str(tmp_path), filters="r,g").cutout(MIDDLE, 10 * u.arcsec)
    assert cutout.bands == ("r", "g")
    assert (cutout.flux[:, 0, 0] - 40_040).tolist() == [6, 5]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="image files with a WCS"):
        FolderSurvey(str(tmp_path)).cutout(MIDDLE, 10 * u.arcsec)
    with pytest.raises(ValueError, match="match_arcsec"):
        FolderSurvey(match_arcsec=0)


def test_it_keeps_the_contract(tmp_path):
    write(tmp_path / "g.fits")
    write(tmp_path / "r.fits", band="r", level=3.0)
    away = MIDDLE.directional_offset_by(10 * u.deg, 1 * u.deg)
    check_survey(FolderSurvey(str(tmp_path)), MIDDLE, width=10 * u.arcsec, outside=away)


def test_what_was_fetched_can_be_fetched_from_again(tmp_path):
    """A folder of galcnn's own cutouts, narrower: the same pixels, with sigma and PSF."""
    simulated = SimulatedSurvey(n_galaxies=12)
    catalog = simulated.catalog.select([0, 1, 2])
    for name, position in zip(catalog.ids, catalog.positions, strict=True):
        save_cutout(simulated.cutout(position, 20 * u.arcsec), tmp_path / "sky" / f"{name}.fits")
    survey = open_survey("folder", options={"folder": str(tmp_path / "sky")})
    report = fetch(catalog, survey, out=tmp_path / "out", settings=FetchSettings(12 * u.arcsec, ("i", "g")))
    assert report.counts["fetched"] == 3
    for name in catalog.ids:
        wide = load_cutout(tmp_path / "sky" / f"{name}.fits")
        narrow = load_cutout(tmp_path / "out" / "cutouts" / f"{name}.fits")
        for band in ("i", "g"):
            i, j = wide.bands.index(band), narrow.bands.index(band)
            assert np.array_equal(narrow.flux[j], wide.flux[i, 10:40, 10:40])
            assert np.array_equal(narrow.sigma[j], wide.sigma[i, 10:40, 10:40])
            assert np.array_equal(narrow.psf[j], wide.psf[i])
    nowhere = fetch(
        some_catalog(1), survey, out=tmp_path / "no", settings=FetchSettings(12 * u.arcsec, ("i",))
    )
    assert nowhere.counts["not covered"] == 1
