"""A layers file takes more models and methods; what stands in it stays, byte by byte."""

import gzip
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from galcnn.errors import UnreadableImageError
from galcnn.explain import Explanation
from galcnn.explain.explanation import CoarseMap
from galcnn.files import load_cutout
from galcnn.layers import LayerStack, append_stack, read_stacks
from galcnn.layers.appending import holds_result
from galcnn.model import Target
from galcnn.model.cells import CellGrid
from galcnn.prediction import Prediction
from tests.layers.test_stack import CLASSES, a_cutout, a_stack, assert_same, odd_values
from tests.layers.test_syntheses import assert_same_syntheses, some_syntheses


def a_coarse_one():
    target = Target.of_class(CLASSES[0], CLASSES)
    coarse = CoarseMap(odd_values((1, 4, 8))[0], CellGrid((1.5, 0.25), (4, 2), (9, 7)))
    values = odd_values((1, 16, 18), 8)
    return Explanation(
        values,
        ("all",),
        "cam",
        target,
        "stretched",
        "",
        1.0,
        network_layer="last",
        kind="features",
        coarse=coarse,
    )


def of_another_model(**changes):
    """Two classes, one method, everything that a stack can hold."""
    classes = ("late", "early")
    target = Target.of_class("late", classes)
    slope = Explanation(odd_values((2, 16, 18), 4), ("g", "r"), "saliency", target, "flux", "nJy-1", 1)
    fields = {
        "prediction": Prediction(("gal",), [[0.5, -0.5]], classes),
        "explanations": (slope,),
        "provenance": {"model": "other", "model_sha256": "a" * 64},
        "segmentation": np.arange(16 * 18).reshape(16, 18) % 5,
    }
    return replace(a_stack(), **(fields | changes))


def test_segmentation_and_coarse_maps_come_back_bit_by_bit(tmp_path):
    put = a_stack(
        explanations=(a_coarse_one(), a_coarse_one()),
        segmentation=np.arange(16 * 18, dtype=np.int64).reshape(16, 18),
    )
    put.write(tmp_path / "a.fits")
    got = LayerStack.read(tmp_path / "a.fits")
    assert_same(got, put)
    assert got.segmentation.dtype == np.int32
    assert got.segmentation.dtype.isnative
    np.testing.assert_array_equal(got.segmentation, put.segmentation)
    for a, b in zip(got.explanations, put.explanations, strict=True):
        assert a.kind == "features"
        assert a.coarse.values.tobytes() == b.coarse.values.tobytes()
        assert a.coarse.grid == b.coarse.grid
    with fits.open(tmp_path / "a.fits") as hdulist:
        names = [hdu.name for hdu in hdulist]
        assert [n for n in names if n.startswith("CAM")] == [
            "CAM_ELLIPTICAL", "CAM_ELLIPTICAL_CELLS", "CAM_ELLIPTICAL_2", "CAM_ELLIPTICAL_CELLS_2",
        ]  # fmt: skip
        assert (hdulist["CAM_ELLIPTICAL"].header["MODEL"], hdulist["CAM_ELLIPTICAL"].header["KIND"]) == (
            "spirals v2",
            "features",
        )


@pytest.mark.parametrize("labels", [np.ones((16, 18)), -np.ones((16, 18), int), np.ones((3, 3), int)])
def test_what_is_no_segmentation_is_refused(labels):
    with pytest.raises(ValueError, match="a segmentation of whole numbers"):
        a_stack(segmentation=labels)


def test_a_cell_stands_on_the_sky_where_it_looks(tmp_path):
    stack = a_stack(explanations=(a_coarse_one(),))
    stack.write(tmp_path / "a.fits")
    from astropy.wcs import WCS

    wcs = WCS(fits.getheader(tmp_path / "a.fits", "CAM_ELLIPTICAL_CELLS"))
    for cell_y, cell_x in [(0, 0), (3, 7), (2, 1)]:
        pixel = (0.25 + 2 * cell_x, 1.5 + 4 * cell_y)
        sky = stack.cutout.wcs.wcs_pix2world([pixel], 0)
        np.testing.assert_allclose(wcs.wcs_pix2world([[cell_x, cell_y]], 0), sky, rtol=0, atol=1e-10)


@pytest.mark.parametrize("same", [True, False])
def test_a_second_model_joins_and_nothing_else_changes(tmp_path, same):
    path = tmp_path / "a.fits"
    first = replace(a_stack(), syntheses=some_syntheses())
    first.write(path)
    before = path.read_bytes()
    changes = {} if same else {"cutout": a_cutout(redshift=0.5), "syntheses": some_syntheses()[:1]}
    second = of_another_model(**changes)
    append_stack(path, second)
    assert path.read_bytes()[: len(before)] == before
    third = of_another_model(provenance={"model": "third"}, explanations=(), segmentation=None)
    append_stack(path, third)
    got = read_stacks(path)
    assert len(got) == 3
    for a, b in zip(got, (first, second, third), strict=True):
        assert_same(a, b)
        assert_same_syntheses(a.syntheses, b.syntheses)
        assert (a.segmentation is None) == (b.segmentation is None)
    np.testing.assert_array_equal(got[1].segmentation, second.segmentation)
    assert_same(LayerStack.read(path), first)
    assert load_cutout(path).flux.tobytes() == first.cutout.flux.tobytes()
    assert holds_result(path, second.provenance, id=second.id)
    assert not holds_result(path, {}, id=second.id)
    with fits.open(path, checksum=True) as hdulist:
        names = [hdu.name for hdu in hdulist]
        assert len(set(names)) == len(names), "DS9 knows no EXTVER"
        assert ("SCI_G_2" in names) == (not same)
        assert {"MORPHOLOGY_2", "MORPHOLOGY_3", "PROVENANCE_2", "SAL_LATE_G", "SEGM"} <= set(names)
        assert hdulist["MORPHOLOGY_2"].header["MODEL"] == "other"
        assert hdulist["SAL_LATE_G"].header["MODEL"] == "other"
        hdulist.verify("exception")


def test_maps_of_equal_names_are_numbered(tmp_path):
    path = tmp_path / "a.fits"
    a_stack().write(path)
    again = a_stack(provenance={"model": "again"})
    append_stack(path, again)
    with fits.open(path) as hdulist:
        assert {"SAL_ELLIPTICAL_G", "SAL_ELLIPTICAL_G_2", "CAM_ELLIPTICAL_2", "CAM_ELLIPTICAL_3"} <= {
            hdu.name for hdu in hdulist
        }
        assert hdulist["LAYERS_2"].data["layer"][0] == "SAL_ELLIPTICAL_G_2", "tables name what is there"
    assert_same(read_stacks(path)[1], again)


def test_fitsverify_finds_nothing_in_a_file_of_several(tmp_path):
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed: `make viewers` (Debian: apt-get install fitsverify)")
    path = tmp_path / "a.fits"
    replace(a_stack(explanations=(a_coarse_one(),)), syntheses=some_syntheses()).write(path)
    append_stack(path, of_another_model(cutout=a_cutout(redshift=0.5)))
    done = subprocess.run(
        ["fitsverify", "-q", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.startswith("verification OK"), done.stdout


def test_other_galaxies_and_other_files_are_refused_and_stay(tmp_path):
    path = tmp_path / "a.fits"
    a_stack().write(path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"layers of 'gal'.*id='other'"):
        append_stack(path, a_stack(id="other"))
    with pytest.raises(TypeError, match="meta"):
        append_stack(path, of_another_model(cutout=a_cutout(meta={"no json": object()})))
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["a.fits"]
    plain = tmp_path / "plain.fits"
    fits.PrimaryHDU(np.ones((4, 4))).writeto(plain)
    with pytest.raises(UnreadableImageError, match="a layers file to append to"):
        append_stack(plain, a_stack())
    with pytest.raises(UnreadableImageError, match="a layers file"):
        read_stacks(plain)
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(content))
    with pytest.raises(UnreadableImageError, match="Unpack it first"):
        append_stack(packed, of_another_model())
    assert gzip.decompress(packed.read_bytes()) == content
    (tmp_path / "junk.fits").write_bytes(content + b"\0" * 2880)
    with pytest.raises(UnreadableImageError, match="ends with its last HDU"):
        append_stack(tmp_path / "junk.fits", of_another_model())


def test_an_appended_stack_that_lost_its_end_is_noticed(tmp_path):
    path = tmp_path / "a.fits"
    a_stack().write(path)
    append_stack(path, of_another_model())
    with fits.open(path) as hdulist:
        ends = [hdu.fileinfo()["datLoc"] + hdu.fileinfo()["datSpan"] for hdu in hdulist]
        places = {hdu.name: i for i, hdu in enumerate(hdulist)}
    content = path.read_bytes()
    for lost in ("PROVENANCE_2", "LAYERS_2", "SAL_LATE_R"):
        (tmp_path / "b.fits").write_bytes(content[: ends[places[lost] - 1]])
        with pytest.raises(UnreadableImageError):
            read_stacks(tmp_path / "b.fits")
        assert_same(LayerStack.read(tmp_path / "b.fits"), a_stack())
