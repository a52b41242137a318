"""BUNIT: linear units as headers spell them, and logarithms, which become flux by definition or none."""

import io

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from galcnn.errors import UnreadableImageError
from galcnn.files import Companions, from_nddata, load_cutout
from galcnn.files.bunit import stated_logarithm, stated_unit
from galcnn.files.loading import calibrate
from galcnn.mosaic import MosaicFile, open_mosaic
from galcnn.photometry import ab_flux, parse_unit
from galcnn.photometry.units import UNCALIBRATED, is_count

FLAM = u.erg / u.s / u.cm**2 / u.AA


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        ("Jy|JY|jy|Jansky|janskys", u.Jy),
        ("uJy|UJY|microJy|micro Jansky|1e-6 Jy|10**(-6) Jy", u.uJy),
        ("nJy|NJY|nanoJansky|10^-9 Jy|10**(-9)Jy", u.nJy),
        ("nanomaggies|nmgy|NMGY|nMgy|Nanomaggy|nano maggies", 3631 * u.nJy),
        ("maggies|maggy|mgy", 3631 * u.Jy),
        ("Jy/pix|Jy/pixel|JY/PIXEL|Jy pix-1|Jy / pixels|Jy.pixel-1", u.Jy / u.pix),
        ("MJy/sr|MJy.sr-1|MJy sr^-1|MJy/ster|MJy/steradian|MJy / Sr|MJy per sr", u.MJy / u.sr),
        ("mJy/arcsec2|mJy/arcsec^2|mJy/sq.arcsec|mJy/sq arcsec|mJy per square arcsec", u.mJy / u.arcsec**2),
        ("nanomaggies/arcsec2|nmgy arcsec-2", 3631 * u.nJy / u.arcsec**2),
        ("erg/cm2/s/A|ergs/cm2/s/A|ERG/S/CM2/A|erg s-1 cm-2 A-1|erg/s/cm^2/Angstrom|erg/cm2/sec/Ang", FLAM),
        ("1E-17 erg/s/cm2/Angstrom|10**(-17)*erg/s/cm**2/Angstrom", 1e-17 * FLAM),
        ("erg/s/cm^2/Hz|erg s^-1 cm^-2 Hz^-1|ergs/sec/cm2/Hz", u.erg / u.s / u.cm**2 / u.Hz),
        ("Jy/beam|JY/BEAM|Jy beam-1", u.Jy / u.beam),
        ("adu|ADU|adus", u.adu),
        ("counts|COUNTS|cts|ct|count", u.ct),
        ("counts/s|COUNTS/SEC|cts/s|counts / sec|ct s-1", u.ct / u.s),
        ("DN/s|DN/S|DN / sec", u.DN / u.s),  # S is no siemens
        ("electrons/s|ELECTRONS/S|e-/s|e-/sec|electron s-1", u.electron / u.s),
        ("photons/s|photon/s", u.ph / u.s),
    ],
)
def test_linear_units(texts, unit):
    for text in texts.split("|"):
        found = stated_unit(text)
        assert found is not None, text
        assert (1 * found).to_value(unit) == pytest.approx(1, rel=1e-12), text
        assert stated_logarithm(text) is None


@pytest.mark.parametrize(
    "text", ["", " ", "MJY", "mjy", "MJY/SR", "made of cheese", "mag", "mag(AB)", "dB", "dex", "sqrt(ct)"]
)
def test_what_is_no_linear_unit(text):
    assert stated_unit(text) is None


@pytest.mark.parametrize(
    ("texts", "decades", "reference"),
    [
        ("mag(AB)|ABmag|ABMAG|AB mag|mag_AB|magAB|mag AB|mag [AB]|AB magnitudes|mag (AB)", -0.4, 3631 * u.Jy),
        ("mag(AB/arcsec2)|mag(AB / arcsec2)|mag(AB)/arcsec2|ABmag/arcsec^2", -0.4, 3631 * u.Jy / u.arcsec**2),
        ("AB mag arcsec-2|mag/arcsec^2 (AB)|AB mag/sq.arcsec", -0.4, 3631 * u.Jy / u.arcsec**2),
        ("AB magnitudes per square arcsecond", -0.4, 3631 * u.Jy / u.arcsec**2),
        ("mag(AB)/pix|ABmag/pixel", -0.4, 3631 * u.Jy / u.pix),
        ("mag(ST)|STmag|STMAG|ST mag", -0.4, u.ST),
        ("mag(Jy)", -0.4, u.Jy),
        ("mag|mags|MAG|magnitude|mag/arcsec2|mag arcsec-2|Vega mag|mag(Vega)|mag/beam", -0.4, None),
        ("dex(Jy)|log(Jy)|log10(Jy)|log Jy", 1.0, u.Jy),
        ("dex(MJy/sr)|log10(MJy/sr)|log10 MJy/sr", 1.0, u.MJy / u.sr),
        ("dex|log|-2.5*log10(Jy)", 1.0, None),
        ("dB(Jy)", 0.1, u.Jy),
        ("dB|decibel|dBm", 0.1, None),
        ("sqrt(counts)|asinh(nanomaggies)|arcsinh|ln(Jy)|luptitudes|asinh mag|mmag|milli-mag", 0.0, None),
    ],
)  # fmt: skip
def test_logarithmic_units(texts, decades, reference):
    for text in texts.split("|"):
        found = stated_logarithm(text)
        assert found is not None, text
        assert found.decades == pytest.approx(decades), text
        assert (found.reference is None) == (reference is None), text
        if reference is not None:
            assert (1 * found.reference).to_value(reference) == pytest.approx(1, rel=1e-12), text
        with pytest.raises(ValueError, match="unit"):
            parse_unit(text)


FLUX = np.geomspace(1.0, 5000.0, 12 * 14).reshape(12, 14)  # nJy
SIDE = 0.5  # arcsec
SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -SIDE / 3600, "CDELT2": SIDE / 3600} | {
    "CRPIX1": 7.5, "CRPIX2": 6.5, "CRVAL1": 150.0, "CRVAL2": 2.0, "FILTER": "r"
}  # fmt: skip
MAG = -2.5 * np.log10(FLUX / 3631e9)
PER_AREA = MAG + 2.5 * np.log10(SIDE**2)
PIVOT = 8059.0
PER_WAVELENGTH = (FLUX * u.nJy).to_value(FLAM, u.spectral_density(PIVOT * u.AA))
ST = -2.5 * np.log10(PER_WAVELENGTH) - 21.1


def image(values, kind=fits.PrimaryHDU, name=None, **cards):
    hdu = kind(np.asarray(values, ">f8"), fits.Header(SKY))
    hdu.header.update(cards)
    if name:
        hdu.name = name
    return hdu


def in_bytes(*hdus):
    buffer = io.BytesIO()
    first = [] if isinstance(hdus[0], fits.PrimaryHDU) else [fits.PrimaryHDU()]
    fits.HDUList([*first, *hdus]).writeto(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("values", "cards"),
    [
        (MAG, {"BUNIT": "mag(AB)"}),
        (MAG, {"BUNIT": "ABmag"}),
        (MAG, {"BUNIT": "mag", "MAGSYS": "AB"}),
        (MAG, {"BUNIT": ("mag", "AB magnitudes")}),
        (MAG, {"BUNIT": "mag(AB)/pix"}),
        (PER_AREA, {"BUNIT": "mag(AB/arcsec2)"}),
        (PER_AREA, {"BUNIT": "mag/arcsec2", "MAGSYS": "AB"}),
        (ST, {"BUNIT": "mag(ST)", "PHOTPLAM": PIVOT}),
        (MAG - 0.91, {"BUNIT": "mag", "MAGSYS": "Vega", "ORIGIN": "2MASS", "FILTER": "j"}),
        (MAG - 2.699, {"BUNIT": "Vega mag", "TELESCOP": "WISE", "BAND": 1, "FILTER": "W1"}),
        (np.log10(FLUX / 1e9), {"BUNIT": "dex(Jy)"}),
        (10 * np.log10(FLUX / 1e9), {"BUNIT": "dB(Jy)"}),
        (np.log10(FLUX / 1e15 / (SIDE / 206264.806247) ** 2), {"BUNIT": "log10(MJy/sr)"}),
        (PER_WAVELENGTH, {"BUNIT": "erg/cm2/s/A", "PHOTPLAM": PIVOT}),
    ],
)  # fmt: skip
def test_logarithms_become_flux_by_their_definition(values, cards):
    cutout = load_cutout(in_bytes(image(values, **cards)))
    assert cutout.unit == u.nJy
    np.testing.assert_allclose(cutout.flux[0], FLUX, rtol=3e-4 if "mag(ST" in str(cards) else 2e-6)
    assert "undone" in cutout.meta["calibration"] or cards["BUNIT"].startswith("erg")


@pytest.mark.parametrize(
    "cards",
    [
        {"BUNIT": "mag"},
        {"BUNIT": "mag", "MAGSYS": "Vega"},
        {"BUNIT": "mag", "MAGSYS": "AB", "MAGZPT": 25.0},  # instrumental?
        {"BUNIT": "mag(ST)"},
        {"BUNIT": "mag/arcsec2"},
        {"BUNIT": "mag/beam", "MAGSYS": "AB"},
        {"BUNIT": "mag(ct/s)"},
        {"BUNIT": "dex"},
        {"BUNIT": "dB"},
        {"BUNIT": "dex(cm/s2)"},
        {"BUNIT": "dex(Jy/beam)"},
        {"BUNIT": "sqrt(counts)", "MAGSYS": "AB", "MAGZPT": 25.0},
        {"BUNIT": "asinh mag", "MAGSYS": "AB"},
        {"BUNIT": "mag(AB/arcsec2)", "CTYPE1": "LINEAR", "CTYPE2": "LINEAR"},  # no area
    ],
)
def test_logarithms_without_a_definition_are_refused(cards):
    with pytest.raises(UnreadableImageError, match=r"values in a linear unit.*Convert them first"):
        load_cutout(in_bytes(image(MAG, **cards)))


@pytest.mark.parametrize(
    "text",
    [
        "Jy/beam",
        "K",
        "km/s",
        "erg/cm2/s/A",
        "adu/arcsec2",
        "counts/s/sr",
        "MJY",
        "solMass/yr",
        "made of cheese",
    ],
)
def test_a_zero_point_makes_no_flux_of_other_units(text):
    cutout = load_cutout(in_bytes(image(FLUX, BUNIT=text, MAGZPT=25.0, MAGSYS="AB")))
    assert not cutout.calibrated
    assert cutout.meta["calibration"].startswith("none: BUNIT = ")
    np.testing.assert_array_equal(cutout.flux[0], FLUX.astype(np.float32))


@pytest.mark.parametrize(
    "text", ["adu", "COUNTS", "DN", "e-/s", "photons/s", "counts/sec", "unknown", "", "DNs"]
)
def test_a_zero_point_makes_flux_of_counts(text):
    cutout = load_cutout(in_bytes(image(FLUX, BUNIT=text, MAGZPT=25.0, MAGSYS="AB")))
    np.testing.assert_allclose(cutout.flux[0], FLUX * ab_flux(25), rtol=1e-6)


def test_a_given_zero_point_is_for_counts():
    with pytest.raises(ValueError, match="an image of counts"):
        calibrate(load_cutout(in_bytes(image(FLUX, BUNIT="Jy/beam"))), 25.0)
    counts = load_cutout(in_bytes(image(FLUX, BUNIT="adu")))
    np.testing.assert_allclose(calibrate(counts, 25.0).flux[0], FLUX * ab_flux(25), rtol=1e-6)
    assert all(is_count(unit) for unit in (UNCALIBRATED, u.one, u.adu / u.s / u.pix, u.ph))
    assert not any(is_count(unit) for unit in (u.Jy, u.adu / u.sr, u.s, u.K, u.Jy / u.beam))


def test_magnitudes_that_are_none_are_masked():
    values = MAG.copy()
    values[0, :4] = 99.0, -99.0, np.inf, np.nan
    cutout = load_cutout(in_bytes(image(values, BUNIT="mag(AB)")))
    assert np.argwhere(cutout.mask[0]).tolist() == [[0, i] for i in range(4)]


ERROR = 0.02 * FLUX  # nJy
OF_MAG = ERROR / FLUX * 2.5 / np.log(10)


@pytest.mark.parametrize(
    ("name", "noise", "cards"),
    [
        ("ERR", OF_MAG, {"BUNIT": "mag"}),
        ("ERR", OF_MAG, {"BUNIT": "mag(AB)"}),
        ("SIGMA", OF_MAG, {"BUNIT": "mag(AB/arcsec2)"}),
        ("VAR", OF_MAG**2, {"BUNIT": "mag2"}),
        ("IVAR", OF_MAG**-2, {"BUNIT": "mag"}),
        ("ERR", ERROR, {"BUNIT": "nJy"}),
        ("ERR", ERROR / 1e3, {"BUNIT": "uJy"}),
    ],
)
@pytest.mark.parametrize(("values", "unit"), [(MAG, "mag(AB)"), (PER_AREA, "mag(AB/arcsec2)"), (FLUX, "nJy")])
def test_noise_of_logarithms(name, noise, cards, values, unit):
    own = in_bytes(image(values, BUNIT=unit), image(noise, fits.ImageHDU, name, **cards))
    apart = load_cutout(
        in_bytes(image(values, BUNIT=unit)),
        companions=Companions(sigma=in_bytes(image(noise, fits.ImageHDU, name, **cards))),
    )
    for cutout in (load_cutout(own), apart):
        np.testing.assert_allclose(cutout.sigma[0], ERROR, rtol=1e-5)


def test_noise_without_unit_is_in_the_unit_of_the_image_and_counts_are_left_out(tmp_path):
    def with_noise(unit):
        return load_cutout(
            in_bytes(image(MAG, BUNIT="mag(AB)"), image(OF_MAG, fits.ImageHDU, "ERR", BUNIT=unit))
        )

    np.testing.assert_allclose(with_noise("").sigma[0], ERROR, rtol=1e-5)
    assert with_noise("adu").sigma is None
    assert "HDU ERR is left out" in with_noise("adu").meta["notes"][0]
    fits.HDUList([image(MAG, BUNIT="mag(AB)"), image(OF_MAG, fits.ImageHDU, "ERR")]).writeto(
        tmp_path / "m.fits"
    )
    with open_mosaic(tmp_path / "m.fits") as mosaic:
        np.testing.assert_allclose(mosaic.layers[0].read((2, 5, 3, 9)), FLUX[2:5, 3:9], rtol=2e-6)
    with (
        pytest.raises(UnreadableImageError, match="image and noise in linear units"),
        open_mosaic(MosaicFile(tmp_path / "m.fits", sigma="ERR")),
    ):
        pass


def test_a_noise_map_in_magnitudes_is_no_image(tmp_path):
    image(OF_MAG, BUNIT="mag(AB)").writeto(tmp_path / "m51_rms.fits")
    with pytest.raises(UnreadableImageError, match="an image of a galaxy"):
        load_cutout(tmp_path / "m51_rms.fits")


def test_ccddata_in_magnitudes():
    cutout = from_nddata(CCDData(MAG, unit=u.ABmag, meta={"FILTER": "r"}))
    np.testing.assert_allclose(cutout.flux[0], FLUX, rtol=2e-6)
    with pytest.raises(UnreadableImageError, match="values in a linear unit"):
        from_nddata(CCDData(MAG, unit=u.mag))
    noisy = CCDData(FLUX, unit=u.nJy, uncertainty=StdDevUncertainty(ERROR))
    np.testing.assert_allclose(from_nddata(noisy).sigma[0], ERROR, rtol=1e-6)
