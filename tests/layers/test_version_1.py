"""The layers format is kept: a file of version 1 is read for ever, and is still what is written.

``python -m tests.layers.test_version_1`` made ``data/layers_v1.fits.gz``; it is not to be made again.
"""

import gzip
import shutil
import subprocess
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.explain import Explanation, Synthesis
from galcnn.explain.explanation import CoarseMap
from galcnn.layers import LayerStack, append_stack, read_stacks
from galcnn.model import Target
from galcnn.model.cells import CellGrid
from galcnn.prediction import Prediction
from tests.layers.test_stack import assert_same
from tests.layers.test_syntheses import assert_same_syntheses

FILE = Path(__file__).parent / "data" / "layers_v1.fits.gz"
CLASSES = ("elliptical", "spiral")


def ramp(*shape, start=0.0):
    return (start + np.arange(np.prod(shape)) / 8).reshape(shape).astype(np.float32)


def the_stacks():
    """What the file holds, of whole eighths: every kind of layer that there is."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [3.5, 2.5]
    wcs.wcs.cdelt = [-0.25 / 3600, 0.25 / 3600]
    mask = np.zeros((2, 4, 6), bool)
    mask[0, 1, 2] = True
    cutout = Cutout(
        ramp(2, 4, 6),
        ("g", "r"),
        wcs=wcs,
        position=SkyCoord(150.0, 2.0, unit="deg"),
        survey="made up",
        mask=mask,
        sigma=ramp(2, 4, 6, start=1),
        psf=np.full((2, 2, 2), 0.25),
        redshift=0.125,
        meta={"path": "galaxy.fits", "zero_point_ab": 22.5},
    )
    spiral, margin = Target.of_class("spiral", CLASSES), Target.margin("spiral", "elliptical", CLASSES)
    holes = ramp(2, 4, 6, start=-3)
    holes[mask] = np.nan
    coarse = CoarseMap(ramp(2, 3), CellGrid((0.5, 0.5), (2, 2), (3, 3)))
    explanations = (
        Explanation(holes, ("g", "r"), "saliency", spiral, "flux", "nJy-1", 1.5, kind="slope"),
        Explanation(
            ramp(2, 4, 6),
            ("g", "r"),
            "integrated_gradients",
            margin,
            "stretched",
            "",
            2.0,
            settings={"n": 50, "baseline": "sky", "blur": 2.5},
            baseline_score=-0.5,
            seed=7,
            kind="amount",
        ),
        Explanation(
            ramp(1, 4, 6),
            ("all",),
            "cam",
            spiral,
            "stretched",
            "",
            1.5,
            network_layer="conv3_1",
            kind="features",
            coarse=coarse,
        ),
    )
    scores = {"score": 3.0, "start_score": 1.5, "success": True}
    attack = Synthesis(
        ramp(2, 4, 6, start=0.5), cutout.flux, ("g", "r"), "fooling", spiral, "flux", "nJy", **scores,
        logits=(0.0, 3.0), start_logits=(0.5, 1.5), settings={"steps": 3}, seed=1,
    )  # fmt: skip
    dream = Synthesis(
        ramp(2, 4, 6, start=2), cutout.flux, ("g", "r"), "dream", Target("channel 1", (0.0, 1.0)), "flux",
        "nJy", **scores, network_layer="conv2_1",
    )  # fmt: skip
    model = Synthesis(
        ramp(2, 4, 6), np.zeros((2, 4, 6)), ("g", "r"), "class_model", spiral, "stretched", "", **scores
    )
    first = LayerStack(
        cutout,
        Prediction(("NGC 1300",), [[-1.5, 1.5]], CLASSES, (0.25, -0.25)),
        explanations,
        {"model": "first", "model_sha256": "0" * 64, "input": "galaxy.fits", "seeds": [1, 2]},
        (attack, dream, model),
        np.arange(24).reshape(4, 6) % 3,
    )
    slope = Explanation(ramp(2, 4, 6), ("g", "r"), "saliency", spiral, "sigma", "", 0.5, kind="slope")
    second = LayerStack(
        cutout, Prediction(("NGC 1300",), [[0.5, 0.0]], CLASSES), (slope,), {"model": "second"}
    )
    other = Cutout(ramp(1, 2, 2), ("L",), unit=u.adu)
    third = LayerStack(other, Prediction(("NGC 1300",), [[0.0, 0.0]], CLASSES), (), {"model": "third"})
    return first, second, third


def make(path):
    first, *more = the_stacks()
    first.write(path)
    for stack in more:
        append_stack(path, stack)


def test_a_file_of_version_1_is_read_for_ever():
    got, put = read_stacks(FILE), the_stacks()
    assert len(got) == len(put) == 3
    for a, b in zip(got, put, strict=True):
        assert_same(a, b)
        assert_same_syntheses(a.syntheses, b.syntheses)
        assert (a.segmentation is None) == (b.segmentation is None)
        for one, other in zip(a.explanations, b.explanations, strict=True):
            assert one.kind == other.kind
            assert (one.coarse is None) == (other.coarse is None)
    np.testing.assert_array_equal(got[0].segmentation, put[0].segmentation)
    coarse = got[0].explanations[2].coarse
    np.testing.assert_array_equal(coarse.values, ramp(2, 3))
    assert coarse.grid == CellGrid((0.5, 0.5), (2, 2), (3, 3))
    assert_same(LayerStack.read(FILE), put[0])
    np.testing.assert_allclose(got[0].cutout.wcs.wcs_pix2world([[2.5, 1.5]], 0), [[150, 2]], atol=1e-12)


def test_what_is_written_now_holds_all_that_version_1_held(tmp_path):
    make(tmp_path / "now.fits")
    with fits.open(FILE) as old, fits.open(tmp_path / "now.fits") as new:
        names = [hdu.name for hdu in new]
        for hdu in old:
            now = new[names.index(hdu.name)]
            for card in hdu.header.cards:
                if card.keyword not in (
                    "DATE",
                    "CREATOR",
                    "CHECKSUM",
                    "DATASUM",
                    "NEXTEND",
                    "NHDU",
                    "COMMENT",
                ):
                    told = (card.keyword, now.header.get(card.keyword))
                    if (
                        isinstance(now, fits.BinTableHDU)
                        and card.keyword[0] in "NTP"
                        and card.keyword != "NCLASS"
                    ):
                        continue  # columns: by name, below
                    assert told == (card.keyword, card.value), hdu.name
            if hdu.is_image:
                if hdu.data is not None:
                    assert now.data.tobytes() == hdu.data.tobytes(), hdu.name
                    assert now.data.dtype == hdu.data.dtype
            else:
                for column in hdu.columns.names:
                    assert list(map(str, now.data[column])) == list(map(str, hdu.data[column])), (
                        hdu.name,
                        column,
                    )


def test_fitsverify_finds_nothing(tmp_path):
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed: `make viewers` (Debian: apt-get install fitsverify)")
    path = tmp_path / "layers_v1.fits"
    path.write_bytes(gzip.decompress(FILE.read_bytes()))
    with fits.open(path, checksum=True) as hdulist:
        hdulist.verify("exception")
        assert [hdu.name for hdu in hdulist][:3] == ["PRIMARY", "SCI_G", "SCI_R"]
    command = ["fitsverify", "-q", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.startswith("verification OK"), done.stdout


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "a.fits")
        FILE.write_bytes(gzip.compress((Path(folder) / "a.fits").read_bytes(), mtime=0))
