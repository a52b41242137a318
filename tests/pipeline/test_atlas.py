"""An atlas in small, from the command line: whole, true to the model, resumable, and it changes nothing."""

import html
import json
import re

import keras
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from PIL import Image

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.experiment import galaxies_of
from galcnn.explain import activations, decision_plane, filters
from galcnn.files import save_cutout
from galcnn.layers import read_syntheses
from galcnn.model import (
    NetworkSettings,
    TrainedModel,
    assemble,
    build_network,
    fit_preprocessing,
    images_from,
    load_model,
    save_model,
)
from galcnn.model.graph import convolution_stages
from galcnn.pipeline import AtlasSettings, make_atlas
from tests.conftest import toy_images

SMALL = ["--number", "10", "--shown", "2", "--filters", "2", "--stages", "3", "--steps", "3", "--seed", "5"]
THIN = ["--shown", "1", "--filters", "1", "--stages", "1", "--steps", "2"]
SETTINGS = AtlasSettings(galaxies=10, shown=2, filters=2, stages=3, steps=3, seed=5)


def toy_cutouts(n):
    images, labels = toy_images(n, seed=9)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.4 / 3600, 0.4 / 3600]
    wcs.wcs.crval, wcs.wcs.crpix = [150, 2], [8.5, 8.5]
    planes = np.moveaxis(images, -1, 1)
    return [Cutout(p, ("g", "r"), wcs=wcs, sigma=np.full(p.shape, 3.0)) for p in planes], labels


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    cutouts, labels = toy_cutouts(14)
    for i, cutout in enumerate(cutouts):
        save_cutout(cutout, folder / f"toy{i}.fits")
    names = np.array(["round", "thin"])[labels]
    table = QTable({"id": [f"toy{i}" for i in range(14)], "class": names})
    table["image"] = [f"toy{i}.fits" for i in range(14)]
    table.write(folder / "catalog.ecsv")
    return folder


@pytest.fixture(scope="module")
def model(sky, trained):
    save_model(trained, sky / "model")
    return sky / "model"


@pytest.fixture(scope="module")
def atlas(sky, model):
    out = sky / "atlas"
    words = ["atlas", str(model), "--catalog", str(sky / "catalog.ecsv"), "--out", str(out)]
    assert main([*words, *SMALL, "--quiet"]) == 0
    return out


def pages_of(out):
    return {path.stem for path in (out / "pages").iterdir()}


def test_every_page_has_a_picture_arrays_and_its_place_in_the_index(atlas, model):
    index = (atlas / "index.html").read_text()
    stages = [stage.convolution for stage in convolution_stages(load_model(model).network)][::3]
    expected = {"weights", "class-models", "class-models-light", "decision-plane", "filter-result", "lines"}
    expected |= {"gradients", "backward-pass", "first-order", "activations-1", "activations-2"}
    expected |= {f"{kind}-{stage}" for kind in ("filters", "filter-images", "strongest") for stage in stages}
    assert pages_of(atlas) == expected
    assert set(re.findall(r'src="pages/([^"]+)\.png"', index)) == expected
    assert set(re.findall(r'href="arrays/([^"]+)\.fits"', index)) == expected
    for name in expected:
        with Image.open(atlas / "pages" / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert np.asarray(picture.convert("L")).std() > 5
        with fits.open(atlas / "arrays" / f"{name}.fits", checksum=True) as hdulist:
            hdulist.verify("exception")
            assert len(hdulist) > 1
    assert 'id="missing"' not in index
    assert not list(atlas.rglob("*.partial*"))


@pytest.mark.full
def test_the_index_says_why_a_page_is_missing(sky, trained, toy_dataset, tmp_path):
    network = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4,), stem=0, activation="gelu"))
    smooth = TrainedModel(assemble(fit_preprocessing(toy_dataset.images), network), trained.card)
    few = AtlasSettings(galaxies=4, shown=1, filters=1, stages=1, steps=1)
    index = make_atlas(smooth, galaxies_of(smooth.card, sky / "catalog.ecsv"), tmp_path / "a", settings=few)
    text = html.unescape(index.read_text())
    reason = r"<li>Galaxies that activate the filters of conv1_1 most: Expected a network whose rectifiers"
    assert re.search(reason + r" are all ReLUs.*others=", text)
    assert not list((tmp_path / "a" / "pages").glob("strongest*"))


@pytest.mark.full
def test_what_a_page_is_made_by_may_refuse_the_model(sky, trained, toy_dataset, tmp_path):
    """Convolutions in groups have no plain backward pass, and a head of pooling no plane of features."""
    inputs = keras.Input((16, 16, 2))
    x = keras.layers.Conv2D(4, 3, groups=2, activation="relu", name="conv")(inputs)
    x = keras.layers.Conv2D(2, 1, name="last")(keras.layers.MultiHeadAttention(1, 2, name="attend")(x, x))
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="logits")(x), name="network")
    pooled = TrainedModel(assemble(fit_preprocessing(toy_dataset.images), network), trained.card)
    few = AtlasSettings(galaxies=4, shown=1, filters=1, stages=1, steps=1)
    out = tmp_path / "a"
    index = make_atlas(pooled, galaxies_of(pooled.card, sky / "catalog.ecsv"), out, settings=few)
    text = html.unescape(index.read_text())
    assert "<li>Decision regions: Expected a network that ends in a Dense layer" in text
    assert "<li>Output of a learned filter, band by band: Expected a plain Conv2D" in text
    assert "rotated filter: Expected a Conv2D without dilation or groups" in text
    assert {"weights", "class-models", "gradients", "first-order"} <= pages_of(out)
    assert not {"decision-plane", "filter-result", "backward-pass"} & pages_of(out)
    assert "attend" in text, "its kernels are those of layers inside of it"


def test_the_arrays_are_the_models_own(atlas, model, sky):
    trained = load_model(model)
    kernels = fits.getdata(atlas / "arrays" / "filters-conv2_1.fits", "KERNELS")
    np.testing.assert_array_equal(kernels, filters(trained.network)["conv2_1"].kernels)
    with fits.open(atlas / "arrays" / "strongest-conv2_1.fits") as hdulist:
        table, first = hdulist["ACTIVATIONS"].data, hdulist[1]
        assert first.data.shape == (9, 2, 16, 16)
        own = table[table["feature"] == first.header["FEATURE"]]
        assert own["rank"].tolist() == list(range(1, 10))
        row = int(own["id"][0].removeprefix("toy"))
        stretched = trained.preprocessing.predict(images_from([toy_cutouts(14)[0][row]]), verbose=0)
        maps = activations(trained.network, stretched)[first.header["NETLAYER"]][0]
        value = maps[own["cell_y"][0], own["cell_x"][0], first.header["FEATURE"]]
        assert maps[..., first.header["FEATURE"]].max() == pytest.approx(value)
        assert own["value"][0] == pytest.approx(value, rel=1e-3)
    made = read_syntheses(atlas / "arrays" / "class-models.fits")
    assert [s.target.name for s in made] == ["round", "thin"] * 2
    for s in made:
        logits = trained.network.predict(np.moveaxis(s.image, 0, -1)[np.newaxis], verbose=0)[0]
        np.testing.assert_allclose(s.logits, logits, rtol=1e-3, atol=1e-4)
        assert s.success == (trained.classes[logits.argmax()] == s.target.name)
    light = read_syntheses(atlas / "arrays" / "class-models-light.fits")
    assert all(s.image.min() >= 0 and (s.wrt, s.unit) == ("flux", "nJy") for s in light)
    assert "shown with</th><td>10 galaxies, sigma of the files" in (atlas / "index.html").read_text()


def test_feature_maps_stand_on_the_sky(atlas, model):
    """The cell of a pooled map has the sky position of the pixel in its middle."""
    trained, (cutouts, _) = load_model(model), toy_cutouts(14)
    note = json.loads((atlas / ".atlas" / "activations-1.json").read_text())
    row = int(note["title"].rsplit("toy", 1)[1])
    stretched = trained.preprocessing.predict(images_from([cutouts[row]]), verbose=0)
    with fits.open(atlas / "arrays" / "activations-1.fits") as hdulist:
        for name, values in activations(trained.network, stretched).items():
            if name.upper() not in hdulist:
                continue
            hdu = hdulist[name.upper()]
            np.testing.assert_allclose(hdu.data, np.moveaxis(values[0], -1, 0), rtol=1e-3, atol=1e-4)
            assert hdu.header["NETLAYER"] == name
        last = hdulist["conv3_2_activation"]
        wcs = WCS(last.header, naxis=2)
        assert last.data.shape == (16, 2, 2)
    pixel = 0.4 / 3600
    step = wcs.wcs_pix2world([[0, 0], [0, 1]], 0)
    assert step[1, 1] - step[0, 1] == pytest.approx(8 * pixel, rel=1e-6)


def test_tables_hold_what_the_pictures_show(atlas, model, sky):
    trained, (cutouts, labels) = load_model(model), toy_cutouts(14)
    with fits.open(atlas / "arrays" / "decision-plane.fits") as hdulist:
        galaxies, regions = hdulist["GALAXIES"].data, hdulist["REGIONS"].data
        header = hdulist["REGIONS"].header
    assert len(galaxies) == 10
    rows = [int(name.removeprefix("toy")) for name in galaxies["id"]]
    assert [str(name) for name in galaxies["class"]] == [("round", "thin")[labels[row]] for row in rows]
    stretched = trained.preprocessing.predict(images_from([cutouts[row] for row in rows]), verbose=0)
    plane = decision_plane(trained.network, stretched)
    np.testing.assert_array_equal(regions, plane.regions)
    np.testing.assert_allclose(galaxies["x"], plane.positions[:, 0], rtol=1e-3, atol=1e-4)
    assert header["CRVAL1"] + 239 * header["CDELT1"] == pytest.approx(plane.x[-1])
    with fits.open(atlas / "arrays" / "lines.fits") as hdulist:
        flips = hdulist["FLIPS_1"].data
        table = hdulist["LINE_1"].data
    assert {(str(row["before"]), str(row["after"])) for row in flips[:1]} <= {
        ("round", "thin"),
        ("thin", "round"),
    }
    margin = table["logit_round"] - table["logit_thin"]
    at = np.interp(flips["position"][0], table["position"], margin)
    assert abs(at) < 0.05 * np.ptp(margin)


def test_a_second_run_keeps_what_is_there_and_mends_what_is_not(atlas, sky, model):
    trained = load_model(model)
    catalog = galaxies_of(trained.card, sky / "catalog.ecsv")
    before = {
        path: path.stat().st_mtime_ns for path in atlas.rglob("*.*") if path.suffix in (".png", ".fits")
    }
    (atlas / "pages" / "weights.png").unlink()
    (atlas / "pages" / "strongest-conv2_1.png").unlink()
    weights = trained.model.get_weights()
    make_atlas(trained, catalog, atlas, settings=SETTINGS)
    assert all(np.array_equal(a, b) for a, b in zip(weights, trained.model.get_weights(), strict=True))
    after = {path: path.stat().st_mtime_ns for path in before}
    changed = {path.stem for path in before if before[path] != after[path]}
    assert changed == {"weights", "strongest-conv2_1"}


@pytest.mark.full
def test_an_interrupted_run_goes_on_and_other_settings_start_anew(sky, model, tmp_path):
    trained = load_model(model)
    weights = trained.model.get_weights()
    catalog = galaxies_of(trained.card, sky / "catalog.ecsv")
    few = AtlasSettings(galaxies=4, shown=1, filters=1, stages=1, steps=2)

    class Interrupting:
        def __init__(self, after):
            self.left = after

        def __call__(self, description, total):
            self.description = description
            return self

        def __enter__(self):
            return self.step

        def __exit__(self, *args):
            return False

        def step(self, note=""):
            if self.description == "atlas":
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt

    out = tmp_path / "atlas"
    with pytest.raises(KeyboardInterrupt):
        make_atlas(trained, catalog, out, settings=few, progress=Interrupting(2))
    done = {path: path.stat().st_mtime_ns for path in (out / "pages").iterdir()}
    assert len(done) == 3
    assert not (out / "index.html").exists()
    make_atlas(trained, catalog, out, settings=few)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert (out / "index.html").exists()
    assert all(np.array_equal(a, b) for a, b in zip(weights, trained.model.get_weights(), strict=True))
    for old in (out / ".atlas" / "old.json", out / "pages" / "old.png", out / "arrays" / "old.fits"):
        old.write_text("{}")
    other = AtlasSettings(galaxies=4, shown=2, filters=1, stages=1, steps=2, seed=1)
    with pytest.raises(KeyboardInterrupt):
        make_atlas(trained, catalog, out, settings=other, progress=Interrupting(0))
    assert (out / "pages" / "weights.png").stat().st_mtime_ns != done[out / "pages" / "weights.png"]
    assert not list(out.rglob("old.*")), "pages of another run are removed"


def test_galaxies_are_drawn_of_all_classes_whatever_the_order(sky, model):
    from galcnn.pipeline.atlas.subject import sample

    trained = load_model(model)
    catalog = galaxies_of(trained.card, sky / "catalog.ecsv")
    drawn = sample(catalog, trained.classes, AtlasSettings(galaxies=6))
    assert drawn.labels.tolist() == ["round", "thin"] * 3
    again = sample(catalog.select(np.arange(14)[::-1]), trained.classes, AtlasSettings(galaxies=6))
    assert drawn.ids == again.ids
    other = sample(catalog, trained.classes, AtlasSettings(galaxies=6, seed=1))
    assert drawn.ids != other.ids
    with pytest.raises(ValueError, match="at least three galaxies"):
        sample(catalog.select([0, 1]), trained.classes, AtlasSettings())
    with pytest.raises(ValueError, match="filters=0"):
        AtlasSettings(filters=0)


@pytest.mark.full
def test_a_catalog_without_classes_and_pictures_without_noise_will_do(sky, model, tmp_path):
    table = QTable.read(sky / "catalog.ecsv")
    table.remove_column("class")
    for i, cutout in enumerate(toy_cutouts(4)[0]):
        save_cutout(Cutout(cutout.flux, cutout.bands), tmp_path / f"toy{i}.fits")
    table[:4].write(tmp_path / "plain.ecsv")
    words = ["atlas", str(model), "--catalog", str(tmp_path / "plain.ecsv"), "--out", str(tmp_path / "out")]
    assert main([*words, *THIN, "--quiet"]) == 0
    index = (tmp_path / "out" / "index.html").read_text()
    assert "measured on the frames of the images; 0 of 0 labelled" in index


def test_bad_input_is_one_clear_line_and_nothing_is_touched(sky, model, tmp_path, capsys):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("years of work")
    table = QTable.read(sky / "catalog.ecsv")
    table.rename_column("image", "file")
    table.write(tmp_path / "renamed.ecsv")
    table["file"] = [f"gone{i}.fits" for i in range(len(table))]
    table.write(tmp_path / "gone.ecsv")
    good, out = str(sky / "catalog.ecsv"), str(tmp_path / "out")
    cases = [
        (["--catalog", good, "--out", str(foreign)], "a new or empty folder, or an older atlas"),
        (["--catalog", str(tmp_path / "renamed.ecsv"), "--out", out], "--image-column"),
        (["--catalog", str(tmp_path / "gone.ecsv"), "--image-column", "file", "--out", out], "gone"),
        (["--catalog", str(tmp_path / "none.ecsv"), "--out", out], "none.ecsv"),
    ]
    for words, text in cases:
        assert main(["atlas", str(model), *words, "--number", "14", "--quiet"]) == 2
        said = capsys.readouterr().err.strip()
        assert text in said
        assert "\n" not in said
    assert [path.name for path in foreign.iterdir()] == ["notes.txt"]
    assert not (tmp_path / "out").exists()
