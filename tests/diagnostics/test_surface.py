"""Surfaces on disk: FITS that astropy reads, with the WCS of alpha and beta, and arrays bit by bit."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.diagnostics import read_surface, write_surface
from galcnn.diagnostics.surface import Surface


@pytest.fixture
def surface():
    rng = np.random.default_rng(0)
    loss = rng.normal(size=(5, 7)) ** 2
    loss[0, 0] = np.inf
    return Surface(
        np.linspace(-0.75, 0.75, 7),
        np.linspace(-2, 1, 5),
        loss,
        rng.uniform(size=(5, 7)),
        "trajectory",
        {"seed": 3, "explained_1": 0.75, "statistics": "recompute", "model": "a long name " * 9},
        rng.normal(size=(4, 2)),
    )


def test_fits_round_trip(tmp_path, surface):
    path = tmp_path / "surface.fits"
    write_surface(surface, path)
    found = read_surface(path)
    for name in ("loss", "error", "path"):
        np.testing.assert_array_equal(getattr(found, name), getattr(surface, name))
    np.testing.assert_allclose(found.alpha, surface.alpha, atol=1e-12)
    np.testing.assert_allclose(found.beta, surface.beta, atol=1e-12)
    assert found.plane == surface.plane
    assert found.facts == {**surface.facts, "model": surface.facts["model"].rstrip()}


def test_astropy_reads_the_grid_from_the_wcs(tmp_path, surface):
    path = tmp_path / "surface.fits"
    write_surface(surface, path)
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["LOSS", "ERROR", "PATH"]
        for hdu in hdus[:2]:
            wcs = WCS(hdu.header)
            assert list(wcs.wcs.ctype) == ["ALPHA", "BETA"]
            assert not wcs.has_celestial
            for row, column in ((0, 0), (4, 6), (2, 3)):
                alpha, beta = wcs.pixel_to_world_values(column, row)
                assert (alpha, beta) == pytest.approx((surface.alpha[column], surface.beta[row]))
        header = hdus[0].header
        assert header["ROUGH"] == pytest.approx(surface.roughness)
        assert header["VARIATN"] == pytest.approx(surface.variation)
        assert "BARRIER" not in header
        np.testing.assert_array_equal(hdus["PATH"].data["beta"], surface.path[:, 1])


def test_arrays_come_back_bit_by_bit(tmp_path, surface):
    write_surface(surface, tmp_path / "surface.npz")
    found = read_surface(tmp_path / "surface.npz")
    for name in ("alpha", "beta", "loss", "error", "path"):
        assert getattr(found, name).tobytes() == np.ascontiguousarray(getattr(surface, name)).tobytes()
    assert found.facts == surface.facts


def test_a_line_has_a_barrier_in_its_header(tmp_path):
    alpha = np.linspace(0, 1, 5)
    loss = np.array([[0.2, 0.9, 1.4, 0.8, 0.4]])
    line = Surface(alpha, np.zeros(1), loss, loss / 2, "between")
    assert line.is_line
    assert line.barrier == pytest.approx(1.4 - 0.3)
    write_surface(line, tmp_path / "line.fits")
    assert fits.getheader(tmp_path / "line.fits")["BARRIER"] == pytest.approx(1.1)
    found = read_surface(tmp_path / "line.fits")
    np.testing.assert_array_equal(found.loss, loss)
    np.testing.assert_allclose(found.alpha, alpha, atol=1e-12)
    assert len(found.path) == 0


def test_other_files_and_endings_are_refused(tmp_path, surface):
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "galaxy.fits")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.fits").write_text("no FITS")
    for name in ("galaxy.fits", "other.npz", "text.fits"):
        with pytest.raises(ValueError, match="a surface that galcnn wrote"):
            read_surface(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_surface(tmp_path / "none.fits")
    with pytest.raises(ValueError, match=r"ends in \.fits or \.npz"):
        write_surface(surface, tmp_path / "surface.txt")
    assert not (tmp_path / "surface.txt").exists()


def test_a_name_that_fits_cannot_hold_is_escaped(tmp_path, surface):
    surface.facts["model"] = "Galaxien-ä"
    for name in ("surface.fits", "surface.npz"):
        write_surface(surface, tmp_path / name)
    assert read_surface(tmp_path / "surface.fits").facts["model"] == "Galaxien-\\xe4"
    assert read_surface(tmp_path / "surface.npz").facts["model"] == "Galaxien-ä"
