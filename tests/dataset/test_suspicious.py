"""Planted faults are found by their reason and figure; sound galaxies are left alone."""

import numpy as np
import pytest

from galcnn.catalog import read_catalog
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles, suspicious_table
from galcnn.dataset.suspicious import SuspicionLimits, measure_cutout
from galcnn.photometry import DISPLAY


def galaxy(seed, noise=2.0, peak=200.0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :40] - 19.5
    a, b, angle = rng.uniform(3, 6), rng.uniform(2, 3), rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    light = peak * rng.uniform(0.5, 2) * np.exp(-(u**2) / 2 / a**2 - v**2 / 2 / b**2)
    return np.stack([light, 0.7 * light]) + rng.normal(0, noise, (2, 40, 40))


def listed(fluxes, masks=None, unit="nJy", **limits):
    masks = masks or [None] * len(fluxes)
    cutouts = [Cutout(f, ("g", "r"), unit=unit, mask=m) for f, m in zip(fluxes, masks, strict=True)]
    ids = [f"g{i}" for i in range(len(cutouts))]
    table = suspicious_table(ids, [measure_cutout(c) for c in cutouts], limits=SuspicionLimits(**limits))
    return {(row["id"], row["reason"]): row for row in table}


def test_sound_galaxies_are_not_listed():
    assert listed([galaxy(i) for i in range(60)]) == {}


def test_blank_and_masked_cutouts_are_found_with_their_shares():
    fluxes = [galaxy(i) for i in range(30)]
    fluxes[3][0] = 7.0
    masks = [np.zeros((2, 40, 40), bool) for _ in fluxes]
    masks[5][:, :, :24] = True
    # A constant beside masked pixels, which are filled with another value, is as blank.
    fluxes[8][:] = 5.0
    masks[8][:, :4] = True
    found = listed(fluxes, masks, outlier=np.inf)
    assert {key: row["value"] for key, row in found.items()} == {
        ("g3", "blank"): 0.5,
        ("g8", "blank"): 1.0,
        ("g5", "masked"): 0.6,
    }


def test_saturation_is_a_plateau_at_the_top():
    fluxes = [galaxy(i) for i in range(30)]
    fluxes[4] = np.minimum(fluxes[4], 60.0)
    share = np.mean(fluxes[4] == 60, axis=(1, 2)).max()
    found = listed(fluxes, outlier=np.inf)
    assert list(found) == [("g4", "saturated")]
    assert found["g4", "saturated"]["value"] == pytest.approx(share)
    pictures = [np.clip(np.rint(flux), 0, 255) for flux in (galaxy(i, peak=100) for i in range(30))]
    pictures[7][1, 10:14, 10:14] = 255
    found = listed(pictures, unit=DISPLAY, outlier=np.inf)
    assert found["g7", "saturated"]["value"] == pytest.approx(16 / 1600)
    assert [key for key in found if key[1] == "saturated" and np.max(pictures[int(key[0][1:])]) < 255] == []


def test_an_outlier_names_the_figure_that_is_out():
    fluxes = [galaxy(i) for i in range(60)]
    fluxes[9] = galaxy(9, noise=20)
    fluxes[11][1] *= -1
    found = listed(fluxes)
    assert set(found) == {("g9", "outlier"), ("g11", "outlier")}
    assert found["g9", "outlier"]["detail"].startswith("frame noise in")
    assert found["g9", "outlier"]["value"] > found["g9", "outlier"]["limit"] == 6
    assert found["g11", "outlier"]["detail"].startswith(("colour g against r", "mean light in r"))


def test_copies_are_found_even_with_other_noise_and_brightness():
    fluxes = [galaxy(i) for i in range(60)]
    fluxes[40] = fluxes[20].copy()
    fluxes[50] = 1.1 * fluxes[30] + np.random.default_rng(1).normal(0, 0.2, (2, 40, 40))
    found = listed(fluxes)
    assert found["g40", "duplicate"]["detail"] == "of g20"
    assert found["g40", "duplicate"]["value"] == pytest.approx(1, abs=1e-6)
    assert found["g50", "duplicate"]["detail"] == "of g30"
    assert 0.8 < found["g50", "duplicate"]["value"] < 1
    assert len(found) == 2


def test_what_cannot_be_read_is_listed_first_with_its_error():
    sound = measure_cutout(Cutout(galaxy(0), ("g", "r")))
    table = suspicious_table(["a", "b"], [sound, None], errors=["", "no such file"])
    assert [tuple(row)[:3] for row in table] == [("b", 1, "unreadable")]
    assert table["detail"][0] == "no such file"
    with pytest.raises(ValueError, match="one id per measure"):
        suspicious_table(["a"], [])


def test_real_pictures_have_no_copies_and_few_are_suspicious(real_data):
    catalog = read_catalog(real_data / "gz2" / "labels.csv", columns={"image": "file"})
    files = InputFiles.of(catalog.select(np.arange(400)))
    cutouts = files.readable().cutouts
    measures = [measure_cutout(cutout) for cutout in [*cutouts, cutouts[17]]]
    table = suspicious_table([*files.ids, "copy"], measures)
    copies = table[table["reason"] == "duplicate"]
    assert [(row["id"], row["detail"]) for row in copies] == [("copy", f"of {files.ids[17]}")]
    assert len(table) < 8
