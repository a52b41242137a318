"""A cell of a feature map has the sky position of the pixel at its centre."""

import numpy as np
import pytest
from astropy.wcs import WCS, Sip

from galcnn.model.cells import CellGrid, cell_wcs
from tests.layers.test_stack import tan_wcs


def with_pc():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1e-4, 2e-4]
    wcs.wcs.crval, wcs.wcs.crpix = [150, 2], [8.5, 7]
    wcs.wcs.pc = [[0.8, -0.6], [0.6, 0.8]]
    return wcs


@pytest.mark.parametrize("wcs", [tan_wcs(), tan_wcs(parity=1, angle=0), with_pc()])
def test_cells_stand_where_their_pixels_stand(wcs):
    grid = CellGrid((3.5, 1.0), (8, 2))
    before = wcs.to_header_string()
    scaled = cell_wcs(wcs, grid, (4, 9))
    y, x = np.mgrid[:4, :9]
    expected = wcs.wcs_pix2world(1.0 + 2 * x.ravel(), 3.5 + 8 * y.ravel(), 0)
    np.testing.assert_allclose(scaled.wcs_pix2world(x.ravel(), y.ravel(), 0), expected, rtol=0, atol=1e-10)
    assert scaled.array_shape == (4, 9)
    assert wcs.to_header_string() == before


def test_sip_is_scaled_to_the_cells():
    """With u = r u', A'_pq = A_pq rx^(p-1) ry^q and B'_pq = B_pq rx^p ry^(q-1)."""
    wcs = tan_wcs()
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a, b = np.zeros((2, 3, 3))
    a[2, 0], a[1, 1], b[0, 2], b[1, 1] = 4e-4, 2e-4, -3e-4, 5e-4
    wcs.sip = Sip(a, b, None, None, [8, 8])
    scaled = cell_wcs(wcs, CellGrid((3.5, 1.0), (8, 2)), (4, 9))
    y, x = np.mgrid[:4, :9]
    expected = wcs.all_pix2world(1.0 + 2 * x.ravel(), 3.5 + 8 * y.ravel(), 0)
    np.testing.assert_allclose(scaled.all_pix2world(x.ravel(), y.ravel(), 0), expected, rtol=0, atol=1e-10)
    assert scaled.sip.a[2, 0] == pytest.approx(4e-4 * 2)
    assert scaled.sip.b[1, 1] == pytest.approx(5e-4 * 2)


def test_a_distortion_of_the_projection_is_scaled_along():
    """TPV holds for the sky's plane, not for pixels: cells stand where their pixels stand."""
    header = tan_wcs().to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    header.update({"PV1_0": 0.0, "PV1_1": 1.0, "PV1_4": 0.5, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_4": -0.3})
    wcs = WCS(header)
    scaled = cell_wcs(wcs, CellGrid((3.5, 1.0), (8, 2)), (4, 9))
    y, x = np.mgrid[:4, :9]
    expected = wcs.all_pix2world(1.0 + 2 * x.ravel(), 3.5 + 8 * y.ravel(), 0)
    np.testing.assert_allclose(scaled.all_pix2world(x.ravel(), y.ravel(), 0), expected, rtol=0, atol=1e-10)
