"""FITS of every common form: one galaxy written in many ways is read as one; the rest is refused."""

import bz2
import dataclasses
import gzip
import io
import lzma
import threading
import warnings
import zipfile

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from galcnn.errors import UnreadableImageError
from galcnn.files import Companions, load_cutout
from galcnn.photometry.units import UNCALIBRATED

NY, NX = 12, 17
Y, X = np.mgrid[:NY, :NX]
#: Whole numbers, so that every data type holds them; no symmetry.
GALAXY = {band: (100 * k + 7 * Y + X).astype(np.float64) for k, band in enumerate("gri", start=1)}
CUBE = np.stack(list(GALAXY.values()))
CENTRE = (150.0, 2.0)


def wcs_cards(**more):
    header = fits.Header()
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": CENTRE[0], "CRVAL2": CENTRE[1],
        "CRPIX1": (NX + 1) / 2, "CRPIX2": (NY + 1) / 2, "CD1_1": -1e-4, "CD1_2": 0.0,
        "CD2_1": 0.0, "CD2_2": 1e-4, "RADESYS": "ICRS", "BUNIT": "nJy",
    }  # fmt: skip
    for key, value in (cards | more).items():
        header[key] = value
    return header


def image(band="r", data=None, kind=fits.ImageHDU, **cards):
    name = cards.pop("name", None)
    hdu = kind((GALAXY[band] if data is None else data).copy(), wcs_cards(FILTER=band, **cards))
    if name:
        hdu.name = name
    return hdu


def primary(*args, **cards):
    return image(*args, kind=fits.PrimaryHDU, **cards)


def written(path, *hdus):
    if not isinstance(hdus[0], fits.PrimaryHDU):
        hdus = (fits.PrimaryHDU(), *hdus)
    fits.HDUList(list(hdus)).writeto(path, overwrite=True)
    return path


def other_layer(name, value=1.0):
    return fits.ImageHDU(np.full((NY, NX), value), name=name)


# Kinds of files -------------------------------------------------------------------------------
def as_primary(folder):
    return written(folder / "a.fits", primary("r"))


def as_extension(folder):
    return written(folder / "a.fits", image("r"))


def by_name_beside_others(folder):
    layers = [other_layer(name) for name in ("VARIANCE", "IVAR", "WHT", "ERR", "PSF")]
    return written(folder / "a.fits", image("r", name="SCI"), other_layer("MASK", 0.0), *layers)


def beside_a_table(folder):
    table = fits.BinTableHDU.from_columns([fits.Column("a", "D", array=np.arange(3.0))])
    line = fits.ImageHDU(np.arange(2048.0))  # SDSS frames keep their sky so
    return written(folder / "a.fits", primary("r"), line, table)


def with_idle_axes(folder):
    return written(folder / "a.fits", primary("r", GALAXY["r"][np.newaxis, np.newaxis]))


def as_type(dtype):
    def write(folder):
        return written(folder / "a.fits", primary("r", GALAXY["r"].astype(dtype)))

    return write


def scaled_integers(folder):
    hdu = primary("r")
    hdu.scale("int16", bscale=0.5, bzero=100.0)
    return written(folder / "a.fits", hdu)


def gzipped(folder):
    path = folder / "a.fits.gz"
    path.write_bytes(gzip.compress(as_primary(folder).read_bytes()))
    return path


def bzipped(folder):
    path = folder / "a.fits.bz2"
    path.write_bytes(bz2.compress(as_primary(folder).read_bytes()))
    return path


def gzipped_without_saying_so(folder):
    return gzipped(folder).rename(folder / "b.fits")


def tile_compressed(kind):
    def write(folder):
        data = GALAXY["r"].astype(np.int32 if kind == "RICE_1" else np.float32)
        hdu = fits.CompImageHDU(data, wcs_cards(FILTER="r"), compression_type=kind, quantize_level=0)
        return written(folder / "a.fits.fz", hdu)

    return write


KINDS = {
    "primary": as_primary,
    "extension": as_extension,
    "SCI beside mask and noise": by_name_beside_others,
    "beside a table and a 1-D image": beside_a_table,
    "1 x 1 x ny x nx": with_idle_axes,
    **{f"type {name}": as_type(name) for name in ("u1", "i2", "u2", "i4", "i8", "f4", "f8")},
    "BSCALE and BZERO": scaled_integers,
    "gz": gzipped,
    "bz2": bzipped,
    "gz named .fits": gzipped_without_saying_so,
    "rice": tile_compressed("RICE_1"),
    "gzip tiles": tile_compressed("GZIP_2"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_the_same_galaxy(tmp_path, kind):
    expected = GALAXY["r"] % 256 if kind == "type u1" else GALAXY["r"]
    cutout = load_cutout(KINDS[kind](tmp_path))
    np.testing.assert_array_equal(cutout.flux, expected[np.newaxis].astype(np.float32))
    assert cutout.flux.dtype == np.float32
    assert cutout.flux.dtype.isnative
    assert (cutout.bands, cutout.unit) == (("r",), u.nJy)
    assert cutout.position.ra.deg == pytest.approx(CENTRE[0], abs=1e-10)
    assert cutout.position.dec.deg == pytest.approx(CENTRE[1], abs=1e-10)
    assert cutout.pixel_scale.to_value("arcsec") == pytest.approx(0.36, rel=1e-9)
    assert cutout.meta["position_source"] == "centre of the image"
    assert "notes" not in cutout.meta


# Bands ----------------------------------------------------------------------------------------
def cube(folder):
    return written(folder / "a.fits", fits.PrimaryHDU(CUBE, wcs_cards(BANDS="gri")))


def cube_in_extension(folder):
    return written(folder / "a.fits", fits.ImageHDU(CUBE, wcs_cards(BAND0="g", BAND1="r", BAND2="i")))


def an_extension_a_band(folder):
    return written(folder / "a.fits", *(image(band) for band in "gri"))


def an_extension_a_band_with_noise(folder):
    hdus = []
    for band in "gri":
        hdus += [image(band, IMAGETYP="image"), image(band, IMAGETYP="invvar")]
    return written(folder / "a.fits", *hdus)


def extensions_named_by_band(folder):
    hdus = []
    for band in "gri":
        hdus.append(fits.ImageHDU(GALAXY[band], wcs_cards(), name=band))
    return written(folder / "a.fits", *hdus)


def a_file_a_band(folder):
    return [written(folder / f"{band}.fits", primary(band)) for band in "gri"]


MANY = {
    "cube": (cube, "gri"),
    "cube in extension": (cube_in_extension, "gri"),
    "an extension a band": (an_extension_a_band, "gri"),
    "extensions with noise": (an_extension_a_band_with_noise, "gri"),
    "extensions by name": (extensions_named_by_band, "GRI"),
    "a file a band": (a_file_a_band, "gri"),
}


@pytest.mark.parametrize("kind", MANY)
def test_bands_by_name_and_in_order(tmp_path, kind):
    write, names = MANY[kind]
    path = write(tmp_path)
    everything = load_cutout(path)
    assert everything.bands == tuple(names)
    np.testing.assert_array_equal(everything.flux, CUBE.astype(np.float32))
    wanted = (names[2], names[0])
    part = load_cutout(path, bands=wanted)
    assert part.bands == wanted
    np.testing.assert_array_equal(part.flux, CUBE[[2, 0]].astype(np.float32))
    with pytest.raises(UnreadableImageError, match=r"bands among.*Choose bands=\.\.\. among"):
        load_cutout(path, bands=("z",))
    with pytest.raises(UnreadableImageError, match="each band once"):
        load_cutout(path, bands=(names[0], names[0]))


def test_unnamed_planes_are_named_by_the_caller(tmp_path):
    path = written(tmp_path / "a.fits", fits.PrimaryHDU(CUBE, wcs_cards()))
    named = load_cutout(path, bands=("g", "r", "i"))
    assert named.bands == ("g", "r", "i")
    np.testing.assert_array_equal(named.flux, CUBE.astype(np.float32))
    unnamed = load_cutout(path)
    assert unnamed.bands == ("band1", "band2", "band3")
    assert unnamed.meta["notes"] == ["the file does not name its bands"]
    with pytest.raises(UnreadableImageError, match=r"3 names.*Name every plane with bands=\.\.\.,"):
        load_cutout(path, bands=("g", "r"))


def test_bands_is_no_word(tmp_path):
    with pytest.raises(TypeError, match="sequence of names"):
        load_cutout(as_primary(tmp_path), bands="gri")


def test_files_of_one_band_are_refused(tmp_path):
    paths = [written(tmp_path / f"{i}.fits", primary("r")) for i in (1, 2)]
    with pytest.raises(UnreadableImageError, match="one plane for each band"):
        load_cutout(paths)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"data": GALAXY["r"][:-1]}, "one shape"),
        ({"BUNIT": "adu"}, "one unit"),
        ({"CRVAL2": CENTRE[1] + 1e-4}, "on one grid"),
        ({"CD1_1": 1e-4}, "on one grid"),
    ],
    ids=["shape", "unit", "one pixel off", "mirrored"],
)
def test_bands_must_share_a_grid_and_a_unit(tmp_path, second, said):
    paths = [written(tmp_path / "g.fits", primary("g")), written(tmp_path / "r.fits", primary("r", **second))]
    with pytest.raises(UnreadableImageError, match=said):
        load_cutout(paths)


def test_bands_of_different_zero_points_become_njy(tmp_path):
    one = written(tmp_path / "g.fits", primary("g", BUNIT="uJy"))
    two = written(tmp_path / "r.fits", primary("r", BUNIT="nanomaggy"))
    flux = load_cutout([one, two]).flux
    np.testing.assert_allclose(flux, CUBE[:2] * np.array([1e3, 3631.0])[:, None, None], rtol=1e-7)


# Choosing an HDU ------------------------------------------------------------------------------
@pytest.mark.parametrize("hdu", [2, -1, "other", "OTHER", "other,1"])
def test_an_hdu_is_chosen_by_index_or_name(tmp_path, hdu):
    path = written(tmp_path / "a.fits", image("g", name="ONE"), image("i", name="OTHER"))
    cutout = load_cutout(path, hdu=hdu)
    assert cutout.bands == ("i",)
    np.testing.assert_array_equal(cutout.flux[0], GALAXY["i"])
    assert cutout.meta["hdu"] == "OTHER"


def test_several_hdus_are_chosen(tmp_path):
    path = written(tmp_path / "a.fits", *(image(band, name=f"X{band}") for band in "gri"))
    cutout = load_cutout(path, hdu=["XI", 1])
    assert cutout.bands == ("i", "g")
    np.testing.assert_array_equal(cutout.flux, CUBE[[2, 0]].astype(np.float32))


def test_twins_are_told_apart_by_version(tmp_path):
    hdus = [image("g", name="SCI"), image("r", name="SCI")]
    hdus[1].ver = 2
    path = written(tmp_path / "a.fits", *hdus)
    assert load_cutout(path, hdu="SCI,2").bands == ("r",)
    with pytest.raises(UnreadableImageError, match=r"Name one, e.g. hdu='SCI,1'"):
        load_cutout(path, hdu="SCI")


@pytest.mark.parametrize("hdu", [7, "NOSUCH", "SCI,9"])
def test_an_unknown_hdu_lists_those_there_are(tmp_path, hdu):
    path = written(tmp_path / "a.fits", image("g", name="SCI"), other_layer("MASK"))
    with pytest.raises(UnreadableImageError, match=r"1 SCI: image \(12, 17\); 2 MASK"):
        load_cutout(path, hdu=hdu)


def test_several_images_are_not_guessed_at(tmp_path):
    path = written(tmp_path / "a.fits", image("r", name="FIRST"), image("r", name="SECOND"))
    with pytest.raises(UnreadableImageError, match=r"1 FIRST: image \(12, 17\); 2 SECOND.*Choose with hdu"):
        load_cutout(path)


# Mask and noise -------------------------------------------------------------------------------
FLAGS = (Y == 3) & (X > 4)


@pytest.mark.parametrize("where", ["hdu", "file", "cube"])
def test_mask(tmp_path, where):
    flags = np.where(FLAGS, 4, 0).astype(np.int16)
    path = written(tmp_path / "a.fits", image("r"), fits.ImageHDU(flags, name="DQ"))
    if where == "hdu":
        source = "dq"
    else:
        source = written(
            tmp_path / "m.fits", fits.PrimaryHDU(flags[np.newaxis] if where == "cube" else flags)
        )
    np.testing.assert_array_equal(load_cutout(path, companions=Companions(mask=source)).mask[0], FLAGS)


def test_nan_and_blank_are_masked(tmp_path):
    holes = np.where(FLAGS, np.nan, GALAXY["r"])
    cutout = load_cutout(written(tmp_path / "a.fits", primary("r", holes)))
    np.testing.assert_array_equal(cutout.mask[0], FLAGS)
    np.testing.assert_array_equal(np.isnan(cutout.flux[0]), FLAGS)
    blank = primary("r", np.where(FLAGS, -999, GALAXY["r"]).astype(np.int16), BLANK=-999)
    cutout = load_cutout(written(tmp_path / "b.fits", blank))
    np.testing.assert_array_equal(cutout.mask[0], FLAGS)


@pytest.mark.parametrize(
    ("name", "value"), [("SIGMA", 3.0), ("ERR", 3.0), ("VARIANCE", 9.0), ("INVVAR", 1 / 9), ("IVAR", 1 / 9)]
)
def test_noise_is_a_standard_deviation_in_the_unit_of_the_flux(tmp_path, name, value):
    path = written(tmp_path / "a.fits", image("r", BUNIT="uJy"), other_layer(name, value))
    sigma = load_cutout(path, companions=Companions(sigma=name)).sigma
    np.testing.assert_allclose(sigma, np.full((1, NY, NX), 3000.0), rtol=1e-6)


def test_noise_without_a_value_is_nan(tmp_path):
    noise = np.full((NY, NX), 4.0)
    noise[0, :3] = [0.0, -1.0, np.nan]
    path = written(tmp_path / "a.fits", image("r"), fits.ImageHDU(noise, name="IVAR"))
    sigma = load_cutout(path, companions=Companions(sigma="IVAR")).sigma[0]
    assert np.isnan(sigma[0, :3]).all()
    assert (sigma[1:] == 0.5).all()


def test_noise_of_a_file_that_has_a_unit_of_its_own(tmp_path):
    path = written(tmp_path / "a.fits", primary("r", BUNIT="nanomaggy"))
    noise = written(
        tmp_path / "rms.fits", fits.PrimaryHDU(np.full((NY, NX), 2.0), fits.Header({"BUNIT": "uJy"}))
    )
    np.testing.assert_allclose(load_cutout(path, companions=Companions(sigma=noise)).sigma, 2000.0, rtol=1e-7)
    plain = written(tmp_path / "plain.fits", fits.PrimaryHDU(np.full((NY, NX), 2.0)))
    np.testing.assert_allclose(load_cutout(path, companions=Companions(sigma=plain)).sigma, 7262.0, rtol=1e-7)


@pytest.mark.parametrize(("name", "said"), [("WHT", "weight"), ("PSF", "psf"), ("SIGMA2", "HDU")])
def test_what_is_no_noise_is_refused(tmp_path, name, said):
    path = written(tmp_path / "a.fits", image("r"), other_layer("WHT"), other_layer("PSF"))
    with pytest.raises(UnreadableImageError, match=said):
        load_cutout(path, companions=Companions(sigma=name))


def test_mask_and_noise_must_fit(tmp_path):
    path = written(tmp_path / "a.fits", image("r"), fits.ImageHDU(np.ones((3, 3)), name="MASK"))
    with pytest.raises(UnreadableImageError, match=r"mask for planes of shape \(1, 12, 17\)"):
        load_cutout(path, companions=Companions(mask="MASK"))
    with pytest.raises(FileNotFoundError, match=r"File not found: .* not the name of an HDU"):
        load_cutout(path, companions=Companions(mask=tmp_path / "none.fits"))


# WCS, survey, redshift ------------------------------------------------------------------------
def test_position_is_not_that_of_the_telescope(tmp_path):
    stale = {"RA": 10.0, "DEC": -80.0, "RA_TARG": 10.0, "CRPIX1": -1000.5}
    cutout = load_cutout(written(tmp_path / "a.fits", primary("r", **stale)))
    sky = cutout.wcs.pixel_to_world((NX - 1) / 2, (NY - 1) / 2)
    assert cutout.position.separation(sky).deg < 1e-9
    assert abs(cutout.position.ra.deg - CENTRE[0]) < 0.2


def test_without_wcs_there_is_no_position(tmp_path):
    cutout = load_cutout(written(tmp_path / "a.fits", fits.PrimaryHDU(GALAXY["r"])))
    assert cutout.wcs is None
    assert cutout.position is None
    assert cutout.unit == UNCALIBRATED
    assert cutout.survey == "unknown"


def test_the_image_inherits_zero_point_and_filter_of_an_empty_primary(tmp_path):
    cards = wcs_cards()
    del cards["BUNIT"]
    header = fits.Header({"FLUXMAG0": 3631e9 / 57.5, "FILTER": "HSC-R"})
    path = written(tmp_path / "a.fits", fits.PrimaryHDU(header=header), fits.ImageHDU(GALAXY["r"], cards))
    cutout = load_cutout(path, redshift=0.05)
    assert (cutout.bands, cutout.redshift) == (("r",), 0.05)
    np.testing.assert_allclose(cutout.flux[0], 57.5 * GALAXY["r"], rtol=1e-7)


# What cannot be read --------------------------------------------------------------------------
def whole(folder):
    return written(folder / "whole.fits", primary("r")).read_bytes()


UNREADABLE = {
    "zero length": (lambda folder: b"", "an empty file"),
    "web page": (lambda folder: b"<!DOCTYPE html><html><body>503", "a web page"),
    "text": (lambda folder: b"no overlap with this survey\n", "found='text'"),
    "noise": (lambda folder: bytes(range(128, 256)), "bytes"),
    "cut in the header": (lambda folder: whole(folder)[:1000], "a whole FITS file"),
    "cut in the data": (lambda folder: whole(folder)[:3500], "truncated"),
    "cut gz": (lambda folder: gzip.compress(whole(folder))[:-200], "a whole FITS file"),
    "damaged gz": (lambda folder: gzip.compress(whole(folder))[:60] + bytes(99), "a whole FITS file"),
    "damaged bz2": (lambda folder: bz2.compress(whole(folder))[:60], "a whole FITS file"),
    "damaged card": (
        lambda folder: whole(folder).replace(b"NAXIS1  =  ", b"NAXIS1  = '"),
        "a whole FITS file",
    ),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_damaged_files_say_what_was_found(tmp_path, kind):
    content, said = UNREADABLE[kind]
    path = tmp_path / "a.fits"
    path.write_bytes(content(tmp_path))
    with pytest.raises(UnreadableImageError, match=said) as caught:
        load_cutout(path)
    assert "a.fits" in str(caught.value)


@pytest.mark.parametrize(
    ("hdus", "said"),
    [
        ([fits.BinTableHDU.from_columns([fits.Column("a", "D", array=np.arange(3.0))])], "1 -: BinTableHDU"),
        ([fits.PrimaryHDU()], "an HDU with an image"),
        ([fits.ImageHDU(np.arange(9.0))], "an HDU with an image"),
        ([other_layer("MASK"), other_layer("PSF")], r"1 MASK: image \(12, 17\); 2 PSF"),
        ([fits.PrimaryHDU(np.ones((2, 3, 4, 5)))], "two axes"),
        ([fits.PrimaryHDU(np.full((4, 4), np.nan))], "all NaN"),
    ],
    ids=["table only", "empty", "1-D", "no science", "4-D", "all NaN"],
)
def test_files_without_an_image_say_what_was_found(tmp_path, hdus, said):
    path = written(tmp_path / "a.fits", *hdus)
    with pytest.raises(UnreadableImageError, match=said) as caught:
        load_cutout(path)
    assert "a.fits" in str(caught.value)


def test_random_damage_never_ends_in_another_error(tmp_path):
    whole_files = [whole(tmp_path), an_extension_a_band(tmp_path).read_bytes()]
    rng = np.random.default_rng(6)
    path = tmp_path / "damaged.fits"
    outcomes = {True: 0, False: 0}
    for i in range(150):
        content = bytearray(whole_files[i % 2])
        for at in rng.integers(0, len(content), rng.choice([1, 20, 300])):
            content[at] = rng.integers(32, 127)
        path.write_bytes(content[: rng.integers(1, 2 * len(content))])
        try:
            outcomes[load_cutout(path).shape != ()] += 1
        except UnreadableImageError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 10


def test_a_wcs_of_no_known_frame_is_none(tmp_path):
    cutout = load_cutout(written(tmp_path / "a.fits", primary("r", RADESYS="NOSUCH")))
    assert cutout.wcs is None
    assert "no valid WCS" in " ".join(cutout.meta["notes"])


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="File not found: "):
        load_cutout(tmp_path / "none.fits")
    with pytest.raises(IsADirectoryError):
        load_cutout(tmp_path)
    with pytest.raises(ValueError, match="at least one file"):
        load_cutout([])


# Headers that astropy warns of ----------------------------------------------------------------
def test_fixable_headers_warn_in_meta_and_nowhere_else(tmp_path):
    content = bytearray(whole(tmp_path))
    at = content.index(b"FILTER  =")
    content[at : at + 80] = b"FILTER  = r band of the survey".ljust(80)  # no quotes
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cutout = load_cutout(path)
    np.testing.assert_array_equal(cutout.flux[0], GALAXY["r"])
    assert cutout.bands == ("r band of the survey",)
    assert "FILTER" in " ".join(cutout.meta["notes"])


def test_warnings_of_others_are_passed_on(tmp_path, monkeypatch):
    from galcnn.files import hdus

    def warn(*args):
        warnings.warn("not astropy's", RuntimeWarning, stacklevel=1)
        return ("r",)

    monkeypatch.setattr(hdus, "band_names", warn)
    with pytest.warns(RuntimeWarning, match="not astropy's"):
        load_cutout(as_primary(tmp_path))


def test_threads_do_not_disturb_each_other(tmp_path):
    path = cube(tmp_path)
    before = list(warnings.filters)
    results = []
    threads = [
        threading.Thread(target=lambda: results.extend(load_cutout(path).flux.sum() for _ in range(5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [results[0]] * 20
    assert warnings.filters == before


def test_a_cutout_does_not_hold_its_file(tmp_path):
    path = as_primary(tmp_path)
    cutout = load_cutout(path)
    path.unlink()
    np.testing.assert_array_equal(cutout.flux[0], GALAXY["r"])
    assert dataclasses.replace(cutout, survey="x").survey == "x"


# In memory ------------------------------------------------------------------------------------
def zipped(folder):
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(as_primary(folder), "a.fits")
    return folder / "a.zip"


def xzipped(folder):
    path = folder / "a.fits.xz"
    path.write_bytes(lzma.compress(as_primary(folder).read_bytes()))
    return path


IN_MEMORY = {kind: KINDS[kind] for kind in ("primary", "gz", "bz2", "rice")} | {"zip": zipped, "xz": xzipped}


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_bytes_and_open_files_are_read_like_paths(tmp_path, kind):
    path = IN_MEMORY[kind](tmp_path)
    expected = load_cutout(path)
    content = path.read_bytes()
    stream = io.BytesIO(b"before" + content)
    stream.seek(6)  # read from where it stands
    with open(path, "rb") as handle:
        for given in (content, bytearray(content), memoryview(content), stream, handle):
            cutout = load_cutout(given)
            assert cutout.flux.tobytes() == expected.flux.tobytes()
            assert cutout.meta["hdu"] == expected.meta["hdu"]
        assert cutout.meta["path"] == str(path)
    assert load_cutout(content).meta["path"] == f"{len(content)} bytes in memory"


def test_bands_mask_and_sigma_in_memory(tmp_path):
    content = [path.read_bytes() for path in a_file_a_band(tmp_path)]
    flags = io.BytesIO()
    fits.PrimaryHDU(FLAGS.astype(np.int16)).writeto(flags)
    noise = written(tmp_path / "s.fits", other_layer("SIGMA", 2.0)).read_bytes()
    cutout = load_cutout(content, companions=Companions(flags.getvalue(), io.BytesIO(noise)))
    np.testing.assert_array_equal(cutout.flux, CUBE.astype(np.float32))
    np.testing.assert_array_equal(cutout.mask[1], FLAGS)
    assert (cutout.sigma == 2).all()


@pytest.mark.parametrize("kind", UNREADABLE)
def test_damaged_bytes_say_what_was_found(tmp_path, kind):
    content, said = UNREADABLE[kind]
    with pytest.raises(UnreadableImageError, match=said):
        load_cutout(content(tmp_path))


@pytest.mark.parametrize("given", [io.StringIO("SIMPLE"), 3, None])
def test_what_is_no_file_is_refused(given):
    with pytest.raises(TypeError, match="a path, bytes, or a file open for reading bytes"):
        load_cutout(given)
