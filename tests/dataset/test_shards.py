"""Shards hold what the files hold, are written once and whole, and are trained on from disk."""

import json
import os

import numpy as np
import pytest
from astropy.table import QTable
from PIL import Image

from galcnn.catalog import Catalog
from galcnn.dataset import InputFiles, pack_images, read_dataset
from galcnn.dataset.shards import PackedImages
from galcnn.prediction import predict_images


@pytest.fixture
def catalog(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(25):
        Image.fromarray(rng.integers(0, 256, (10, 10, 3)).astype(np.uint8)).save(folder / f"{i}.png")
    paths = [str(folder / f"{i}.png") for i in range(25)]
    return Catalog(
        QTable({"id": [f"g{i}" for i in range(25)], "image": paths, "class": ["a", "b", "c", "d", "e"] * 5})
    )


def packed(catalog, folder, **settings):
    return pack_images(InputFiles.of(catalog, **settings), folder, shard_size=8)


def test_what_is_packed_is_what_is_read(catalog, tmp_path):
    plain = read_dataset(catalog)
    found = packed(catalog, tmp_path / "shards")
    assert sorted(p.name for p in (tmp_path / "shards").glob("*.npy")) == [
        f"shard-0000{i}.npy" for i in range(4)
    ]
    images = found.images
    assert (len(images), images.shape) == (25, plain.images.shape)
    assert {shard.dtype.name for shard in images.shards} == {"uint8"}
    assert isinstance(images.shards[0], np.memmap)
    np.testing.assert_array_equal(images[:], plain.images)
    np.testing.assert_array_equal(images[[24, 3, 3, 9]], plain.images[[24, 3, 3, 9]])
    np.testing.assert_array_equal(images[5:19], plain.images[5:19])
    chosen = images.select(np.array([20, 1, 7]))
    np.testing.assert_array_equal(chosen[[2, 0]], plain.images[[7, 20]])
    assert found.inputs == plain.inputs


def test_resampled_pictures_have_fractions_and_keep_them(catalog, tmp_path):
    found = packed(catalog, tmp_path / "shards", size=8)
    assert {shard.dtype.name for shard in found.images.shards} == {"float32"}
    np.testing.assert_array_equal(found.images[:], read_dataset(catalog, size=8).images)


def test_a_dataset_in_shards_is_the_same_dataset(catalog, tmp_path):
    plain, disk = read_dataset(catalog), read_dataset(catalog, shards=tmp_path / "shards")
    assert isinstance(disk.images, PackedImages)
    assert disk.sha256() == plain.sha256()
    rows = np.array([4, 22, 11])
    part = disk.select(rows)
    assert isinstance(part.images, PackedImages)
    assert part.sha256() == plain.select(rows).sha256()
    assert disk.cached(0.02) is disk  # 25 images of 1200 bytes as float32
    held = disk.cached(0.04)
    assert isinstance(held.images, np.ndarray)
    assert held.sha256() == plain.sha256()


def test_an_interrupted_packing_goes_on_behind_the_last_shard(catalog, tmp_path, monkeypatch):
    prepared, seen = InputFiles.prepared, []

    def failing(self, name, *given):
        if name == "g18":
            raise OSError("the disk was pulled out")
        return prepared(self, name, *given)

    monkeypatch.setattr(InputFiles, "prepared", failing)
    with pytest.raises(OSError, match="pulled out"):
        packed(catalog, tmp_path / "shards")
    names = sorted(p.name for p in (tmp_path / "shards").glob("[!.]*"))
    assert names == ["shard-00000.json", "shard-00000.npy", "shard-00001.json", "shard-00001.npy"]
    # A shard whose record was not written yet does not count.
    (tmp_path / "shards" / "shard-00001.json").unlink()
    monkeypatch.setattr(
        InputFiles,
        "prepared",
        lambda self, name, *given: seen.append(int(name[1:])) or prepared(self, name, *given),
    )
    found = packed(catalog, tmp_path / "shards")
    assert sorted(set(seen)) == [0, *range(8, 25)]  # the first settles what the images are
    np.testing.assert_array_equal(found.images[:], read_dataset(catalog).images)
    seen.clear()
    packed(catalog, tmp_path / "shards")
    assert seen == [0]


def test_an_altered_shard_is_refused(catalog, tmp_path):
    packed(catalog, tmp_path / "shards")
    path = tmp_path / "shards" / "shard-00002.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"the shard as it was written.*shard-00002\.npy"):
        packed(catalog, tmp_path / "shards")


def test_shards_of_something_else_are_refused_and_left_alone(catalog, tmp_path):
    folder = tmp_path / "shards"
    packed(catalog, folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(ValueError, match="shards of these galaxies, files and settings"):
        packed(catalog, folder, size=8)
    with pytest.raises(ValueError, match="shards of these galaxies"):
        packed(catalog.select(np.arange(1, 25)), folder)
    with pytest.raises(ValueError, match="shards of these galaxies"):
        packed(catalog.select(np.arange(8)), folder)
    changed = catalog.table["image"][12]
    os.utime(changed, ns=(1, 1))
    with pytest.raises(ValueError, match="shards of these galaxies"):
        packed(catalog, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    record = json.loads((folder / "shard-00000.json").read_text())
    assert record["inputs"]["unit"] == "display"


def test_training_from_disk_is_training_from_memory(toy_dataset, tmp_path):
    """The order of an epoch is a function of seed and epoch, wherever the images lie."""
    from dataclasses import replace

    from galcnn.training import TrainingSettings, training_batches
    from galcnn.training.batches import validation_batches

    np.save(tmp_path / "a.npy", toy_dataset.images[:150])
    np.save(tmp_path / "b.npy", toy_dataset.images[150:])
    shards = tuple(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "ab")
    disk = replace(toy_dataset, images=PackedImages(shards, np.arange(240)))
    settings = TrainingSettings(epochs=2, batch_size=50)
    ours, theirs = (training_batches(d, settings, seed=3) for d in (disk, toy_dataset))
    assert ours.per_epoch == theirs.per_epoch == 5
    n = 0
    for a, b in zip(ours.beginning_at(0), theirs.beginning_at(0), strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
        n += 1
    assert n == 10
    ours, theirs = (validation_batches(d, d, settings) for d in (disk, toy_dataset))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a[0], b[0])


def test_predicting_from_disk_is_predicting_from_memory(trained, toy_dataset, tmp_path):
    np.save(tmp_path / "a.npy", toy_dataset.images)
    images = PackedImages((np.load(tmp_path / "a.npy", mmap_mode="r"),), np.arange(240)[::-1])
    np.testing.assert_array_equal(
        predict_images(trained.model, images), predict_images(trained.model, toy_dataset.images[::-1])
    )
