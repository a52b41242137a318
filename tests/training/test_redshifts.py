"""Redshifting as augmentation: it is `redshift()`, drawn evenly, by seed, epoch and galaxy alone."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from astropy.table import QTable
from scipy.stats import kstest

from galcnn.catalog import Catalog
from galcnn.dataset import Dataset, InputFiles
from galcnn.dataset.reader import HeldCutouts
from galcnn.experiment import Experiment, read_data
from galcnn.files import save_cutout
from galcnn.model import InputSpec, images_from
from galcnn.photometry import DISPLAY
from galcnn.redshifting import Redshifting, redshift
from galcnn.redshifting.settings import flux_factor
from galcnn.simulation import SIMULATED, draw, from_catalog, simulate_catalog
from galcnn.training import Augmentation, RandomRedshift, TrainingSettings, training_batches
from galcnn.training.redshifts import RedshiftedImages
from galcnn.transforms import fit

BANDS = ("g", "r")
SIDE = 24
DRAWS = RandomRedshift((0.1, 0.2), "simulated", share=1.0, bandpass="same", fill="refuse")
STILL = Augmentation(flips=False, rotations="none", redshift=DRAWS)


def simulated():
    """12 galaxies near z = 0.05, of each a field of 96 pixels and an image of its middle."""
    galaxies = from_catalog(simulate_catalog(12, seed=2, classes=("elliptical", "spiral")))
    telescope = SIMULATED.only(BANDS)
    wide = [
        draw(galaxy.at(0.05 + 0.0005 * i), seed=1, shape=(96, 96), observation=telescope)
        for i, galaxy in enumerate(galaxies)
    ]
    images = images_from([fit(cutout, (SIDE, SIDE), pixel_scale=None) for cutout in wide])
    ids = tuple(galaxy.id for galaxy in galaxies)
    return Dataset(
        ids,
        images,
        np.arange(12, dtype=np.int32) % 2,
        ("elliptical", "spiral"),
        InputSpec(BANDS, "nJy", (SIDE, SIDE), 0.4),
        cutouts=dict(zip(ids, wide, strict=True)),
    )


def images_drawn():
    return RedshiftedImages(simulated(), DRAWS, 7).images(1, np.arange(4))


@pytest.fixture(scope="module")
def dataset():
    return simulated()


def epochs_of(dataset, *, batch_size=4, epochs=2, begin=0, augmentation=STILL):
    """Images of each epoch, sorted, so that the order of the batches does not count."""
    settings = TrainingSettings(epochs=epochs, batch_size=batch_size, augmentation=augmentation)
    batches = training_batches(dataset, settings, seed=4)
    found = [images.numpy() for images, _, _ in batches.beginning_at(begin)]
    per = batches.per_epoch
    whole = [np.concatenate(found[i : i + per]) for i in range(0, len(found), per)]
    return [epoch[np.argsort(epoch.sum(axis=(1, 2, 3)))] for epoch in whole]


def test_an_image_is_what_redshift_makes_of_its_cutout(dataset):
    source = RedshiftedImages(dataset, DRAWS, 7)
    rows = np.array([5, 0, 11])
    images, drawn = source.images(3, rows), source.redshifts(3, rows)
    for image, row, z in zip(images, rows, drawn, strict=True):
        far = redshift(
            dataset.cutouts[dataset.ids[row]],
            z,
            observation=SIMULATED.only(BANDS),
            shape=(SIDE, SIDE),
            settings=Redshifting(bandpass="same"),
            seed=7,
        )
        np.testing.assert_array_equal(image, images_from([far])[0])
        assert 0.1 <= z < 0.2


def test_flux_falls_as_the_distance_says(dataset):
    """Noiseless galaxies on deep fields: the flux of an image over the flux of its cutout."""
    deep = SIMULATED.only(BANDS)
    deep = replace(deep, depth=(30.0, 30.0), electrons_per_njy=(1e6, 1e6))
    galaxy = from_catalog(simulate_catalog(2, seed=2, classes=("elliptical", "spiral")))[1].at(0.05)
    wide = draw(replace(galaxy, half_light_radius=1.5), seed=1, shape=(128, 128), observation=deep)
    near = replace(dataset.select([1]), cutouts={dataset.ids[1]: wide})
    fields = {"name": "deep", "bands": BANDS, "pixel_scale": 0.4, "psf_fwhm": (1.0, 1.0)}
    fields |= {"depth": (30.0, 30.0), "electrons_per_njy": (1e6, 1e6)}
    source = RedshiftedImages(near, replace(DRAWS, observation=fields), 7)
    z = source.redshifts(0, np.array([0]))[0]
    ratio = source.images(0, np.array([0]))[0].sum(axis=(0, 1)) / wide.flux.sum(axis=(1, 2))
    np.testing.assert_allclose(ratio, flux_factor(0.05, z), rtol=0.01)


def test_the_redshifts_of_an_epoch_are_even_in_the_range_and_new_in_the_next(dataset):
    source = RedshiftedImages(dataset, DRAWS, 7)
    rows = np.arange(len(dataset))
    drawn = np.concatenate([source.redshifts(epoch, rows) for epoch in range(80)])
    assert kstest((drawn - 0.1) / 0.1, "uniform").pvalue > 0.01
    assert len(np.unique(drawn)) == len(drawn)


def test_a_share_of_the_images_stays_as_it_is(dataset):
    source = RedshiftedImages(dataset, replace(DRAWS, share=0.4), 7)
    rows = np.arange(len(dataset))
    moved = np.concatenate([np.isfinite(source.redshifts(epoch, rows)) for epoch in range(80)])
    assert abs(moved.mean() - 0.4) < 4 * np.sqrt(0.24 / len(moved))
    first = np.isfinite(source.redshifts(0, rows))
    same = (source.images(0, rows) == dataset.images).all(axis=(1, 2, 3))
    assert np.array_equal(same, ~first)


def test_a_galaxy_is_never_brought_nearer(dataset):
    """Within the range of its own redshift the draws below it leave the galaxy as it is."""
    source = RedshiftedImages(dataset, replace(DRAWS, between=(0.02, 0.2)), 7)
    rows = np.arange(len(dataset))
    own = np.array([dataset.cutouts[name].redshift for name in dataset.ids])
    drawn = np.stack([source.redshifts(epoch, rows) for epoch in range(40)])
    assert np.nanmin(drawn - own) >= 0
    assert 0.6 < np.isfinite(drawn).mean() < 0.9  # 0.15 of 0.18, less what is not far enough


def test_batches_order_and_where_a_training_goes_on_change_nothing(dataset):
    few = dataset.select(np.arange(6))
    one, other = epochs_of(few, batch_size=4), epochs_of(few, batch_size=5)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(one[0], one[1])
    np.testing.assert_array_equal(epochs_of(few, begin=1)[0], one[1])


@pytest.mark.full
def test_another_process_draws_the_same():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(images_drawn).result()
    np.testing.assert_array_equal(there, images_drawn())


def test_it_comes_before_the_other_changes(dataset):
    few = dataset.select(np.arange(4))
    turned = epochs_of(few, augmentation=replace(STILL, flips=True, rotations="quarter"), epochs=1)[0]
    still = epochs_of(few, epochs=1)[0]
    np.testing.assert_allclose(np.sort(turned.ravel()), np.sort(still.ravel()))


@pytest.mark.parametrize(
    ("change", "draws", "told"),
    [
        ({"inputs": InputSpec(BANDS, DISPLAY.name, (SIDE, SIDE), 0.4)}, {}, "8-bit picture cannot be dimmed"),
        ({"cutouts": None}, {}, "cutouts behind its images"),
        ({"inputs": InputSpec(BANDS, "nJy", (SIDE, SIDE), 0.2)}, {}, "pixels of simulated, 0.4 arcsec"),
        ({}, {"observation": "hst-acs"}, "bands among"),
        ({}, {"bandpass": "nearest"}, "Galaxy sim2-000000 at z = 0.2"),
        ({}, {"between": (0.1, 0.9)}, "an input of at least"),
    ],
)
def test_what_cannot_be_redshifted_is_refused_before_training(dataset, change, draws, told):
    with pytest.raises(ValueError, match=told):
        RedshiftedImages(replace(dataset, **change), replace(DRAWS, **draws), 0)


def test_an_unknown_redshift_is_refused_by_its_name(dataset):
    unknown = {name: replace(cutout, redshift=None) for name, cutout in dataset.cutouts.items()}
    with pytest.raises(ValueError, match=r"Galaxy sim2-000000.*a galaxy with a known redshift"):
        RedshiftedImages(replace(dataset, cutouts=unknown), DRAWS, 0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"between": [0.3, 0.1], "observation": "lsst"}, "0 < low < high"),
        ({"between": [0.1, 0.3], "observation": "lst"}, "Did you mean 'lsst'"),
        ({"between": [0.1, 0.3], "observation": {"name": "mine", "fwhm": 1}}, "fields of an observation"),
        ({"between": [0.1, 0.3], "observation": {"name": "mine"}}, "all fields of an observation"),
        ({"between": [0.1, 0.3], "observation": "lsst", "bandpass": "near"}, "bandpass"),
        ({"observation": "lsst"}, "between"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, told):
    content = {"data": {"catalog": "x"}, "training": {"augmentation": {"redshift": values}}}
    with pytest.raises(ValueError, match=told):
        Experiment.from_dict(content)


def test_an_experiment_reads_the_wide_cutouts_of_its_catalog(dataset, tmp_path):
    """From FITS files and a redshift column to batches, and its settings through a card's JSON."""
    paths = []
    for name in dataset.ids:
        paths.append(str(tmp_path / f"{name}.fits"))
        save_cutout(replace(dataset.cutouts[name], redshift=None), paths[-1])
    own = [dataset.cutouts[name].redshift for name in dataset.ids]
    kinds = [dataset.classes[label] for label in dataset.labels]
    split = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    columns = {"id": list(dataset.ids), "image": paths, "class": kinds, "redshift": own, "split": split}
    catalog = Catalog(QTable(columns))
    catalog.table.write(tmp_path / "catalog.ecsv")
    content = {
        "data": {"catalog": str(tmp_path / "catalog.ecsv"), "size": SIDE},
        "training": {
            "augmentation": {
                "redshift": {
                    "between": [0.1, 0.2],
                    "observation": "simulated",
                    "bandpass": "same",
                    "fill": "refuse",
                }
            }
        },
    }
    experiment = Experiment.from_dict(content)
    assert (
        Experiment.from_dict(experiment.to_dict()).training.augmentation == experiment.training.augmentation
    )
    training = read_data(experiment).sides["train"]
    first = training.ids[0]
    assert training.cutouts[first].shape == (96, 96)
    assert training.cutouts[first].redshift == pytest.approx(dataset.cutouts[first].redshift)
    source = RedshiftedImages(training, experiment.training.augmentation.redshift, 7)
    far, wanted = source.moved(first, 0.15), RedshiftedImages(dataset, DRAWS, 7).moved(first, 0.15)
    np.testing.assert_allclose(far.flux, wanted.flux, rtol=1e-4, atol=1e-3)
    images, _, _ = next(iter(training_batches(training, experiment.training, 0).beginning_at(0)))
    assert tf.reduce_all(tf.math.is_finite(images))
    one_by_one = HeldCutouts(InputFiles.of(catalog), megabytes=0)
    assert one_by_one[first] is not one_by_one[first]
    assert len(one_by_one) == len(list(one_by_one)) == 12
