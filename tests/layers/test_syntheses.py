"""Images made for targets come back from FITS bit by bit, and viewers see what they are."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.errors import UnreadableImageError
from galcnn.explain import Synthesis
from galcnn.layers import LayerStack, read_syntheses, write_syntheses
from galcnn.model import Target
from tests.layers.test_stack import CLASSES, a_cutout, a_stack, assert_same, odd_values

FIELDS = [
    "bands",
    "method",
    "target",
    "wrt",
    "unit",
    "score",
    "start_score",
    "success",
    "logits",
    "start_logits",
    "settings",
    "seed",
    "network_layer",
]


def some_syntheses():
    odd = odd_values((2, 16, 18), 1)
    attack = Synthesis(
        odd,
        odd_values((2, 16, 18), 2),
        ("g", "r"),
        "class_model",
        Target.of_class(CLASSES[2], CLASSES),
        "flux",
        "nJy",
        1 / 3,
        -np.inf,
        False,
        (0.1, 1 / 3, -2e-300),
        (1.0, 2.0, float(np.float32(0.1))),
        {"steps": 5, "nested": {"a": (1, None)}, "start": "noise"},
        seed=2**80,
    )
    zero = replace(attack, start=np.zeros((2, 16, 18)), seed=None, success=True)
    unit = Target("filter 3", (0.0, 0.0, 0.0, 1.0))
    inner = replace(
        zero, method="filter_image", target=unit, wrt="stretched", unit="", network_layer="inner/conv"
    )
    return (attack, zero, inner)


def assert_same_syntheses(got, put):
    assert len(got) == len(put)
    for a, b in zip(got, put, strict=True):
        for name in ("image", "start"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
            assert getattr(a, name).dtype == np.float32
            assert getattr(a, name).dtype.isnative
        for name in FIELDS:
            assert getattr(a, name) == getattr(b, name), name


def test_a_file_of_their_own_gives_them_back_bit_by_bit(tmp_path):
    put = some_syntheses()
    write_syntheses(tmp_path / "a.fits", put, provenance={"model": "spirals ☃"})
    assert_same_syntheses(read_syntheses(tmp_path / "a.fits"), put)
    with fits.open(tmp_path / "a.fits", checksum=True) as hdulist:
        assert hdulist[0].header["FILETYPE"] == "galcnn syntheses"
        assert hdulist["PROVENANCE"].data["key"].tolist() == ["model"]


def test_in_a_layers_file_they_stand_on_the_cutouts_grid(tmp_path):
    stack = replace(a_stack(), syntheses=some_syntheses())
    stack.write(tmp_path / "a.fits")
    again = LayerStack.read(tmp_path / "a.fits")
    assert_same(again, stack)
    assert_same_syntheses(again.syntheses, stack.syntheses)
    hdulist = stack.to_hdulist()
    names = [hdu.name for hdu in hdulist if hdu.name.startswith(("CLASS", "START", "DIFF", "FILTER"))]
    about = "SPIRALE_A_GAUCHE"
    assert names == [
        *(
            f"{part}CLASS_MODEL_{about}_{band}"
            for part in ("", "START_", "DIFF_", "DIFF10_")
            for band in "GR"
        ),
        f"CLASS_MODEL_{about}_G_2",
        f"CLASS_MODEL_{about}_R_2",
        "FILTER_IMAGE_INNER_CONV_FILTER_3_G",
        "FILTER_IMAGE_INNER_CONV_FILTER_3_R",
    ]
    corners = np.array([[0, 0], [17, 15]])
    for name in names:
        sky = WCS(hdulist[name].header).wcs_pix2world(corners, 0)
        np.testing.assert_allclose(sky, a_cutout().wcs.wcs_pix2world(corners, 0), atol=1e-10)
        assert hdulist[name].header["OBJECT"] == "gal"
    made = stack.syntheses[0]
    np.testing.assert_array_equal(hdulist[f"DIFF_CLASS_MODEL_{about}_R"].data, made.perturbation[1])


def test_headers_say_what_was_made():
    hdulist = replace(a_stack(), syntheses=some_syntheses()).to_hdulist()
    header = hdulist["START_CLASS_MODEL_SPIRALE_A_GAUCHE_R"].header
    told = {key: header[key] for key in ("METHOD", "PART", "BAND", "WRT", "BUNIT", "SUCCESS", "SEED", "WGT3")}
    assert told == {
        "METHOD": "class_model",
        "PART": "start",
        "BAND": "r",
        "WRT": "flux",
        "BUNIT": "nJy",
        "SUCCESS": False,
        "SEED": str(2**80),
        "WGT3": 1.0,
    }
    assert header["SCORE"] == 1 / 3
    assert "START" not in header, "FITS has no infinity in cards; the table holds it"
    inner = hdulist["FILTER_IMAGE_INNER_CONV_FILTER_3_G"].header
    assert (inner["NETLAYER"], inner["TARGET"], inner["WGT4"]) == ("inner/conv", "filter 3", 1.0)
    assert "BUNIT" not in inner


def test_what_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one synthesis"):
        write_syntheses(tmp_path / "a.fits", [])
    assert not (tmp_path / "a.fits").exists()
    a_stack().write(tmp_path / "layers.fits")
    with pytest.raises(UnreadableImageError, match=r"a whole file of syntheses.*galcnn layers"):
        read_syntheses(tmp_path / "layers.fits")
    write_syntheses(tmp_path / "a.fits", some_syntheses()[:1])
    content = bytearray((tmp_path / "a.fits").read_bytes())
    content[2880 * 3 + 5] ^= 1
    (tmp_path / "a.fits").write_bytes(bytes(content))
    with pytest.raises(UnreadableImageError):
        read_syntheses(tmp_path / "a.fits")
    with pytest.raises(ValueError, match="syntheses on the cutout's grid"):
        replace(
            a_stack(),
            syntheses=(replace(some_syntheses()[0], image=np.ones((2, 3, 3)), start=np.ones((2, 3, 3))),),
        )
