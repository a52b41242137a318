"""Embeddings by any encoder against Keras' own features, and tables of embeddings of other programs."""

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from galcnn import load_model, save_model
from galcnn.catalog import read_catalog
from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.pipeline import embed_catalog, features_of_files, label_next, nearest, read_embedded
from tests.conftest import embed, toy_images

N, SIZE = 24, 16


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """24 galaxies, of which one has no file."""
    folder = tmp_path_factory.mktemp("sky")
    images, _ = toy_images(N, seed=11)
    for number, image in enumerate(images):
        if number != 5:
            save_cutout(Cutout(np.moveaxis(image, -1, 0), ("g", "r")), folder / f"{number}.fits")
    table = Table({"id": [f"g{i}" for i in range(N)], "image": [f"{i}.fits" for i in range(N)]})
    table.write(folder / "catalog.ecsv")
    return folder, images


def test_a_model_embeds_as_it_classifies(sky, trained, tmp_path):
    folder, images = sky
    save_model(trained, tmp_path / "model")
    out = tmp_path / "features.parquet"
    embed_catalog(tmp_path / "model", read_catalog(folder / "catalog.ecsv"), out)
    found = read_embedded(out)
    assert found.ids == tuple(f"g{i}" for i in range(N))
    assert found.classes == ()
    assert not found.usable[5]
    assert found.flags[5] == 1
    kept = np.arange(N) != 5
    np.testing.assert_allclose(found.features[kept], embed(trained, images[kept]), rtol=1e-5, atol=1e-5)
    like = nearest(found, "g0", n=5)
    assert like.colnames == ["rank", "id", "distance"]
    assert "g5" not in like["id"]
    # An image of its own, by the same model; another one is refused.
    features = features_of_files([folder / "3.fits"], tmp_path / "model", out)
    np.testing.assert_allclose(features, found.features[3], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="the model that made the table"):
        features_of_files([folder / "3.fits"], "gz1", out)


def test_a_keras_file_embeds_with_a_preprocessing_fitted_to_the_galaxies(sky, tmp_path):
    folder, images = sky
    inputs = keras.Input((SIZE, SIZE, 2))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(5, 3, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))
    model.save(tmp_path / "own.keras")
    out = tmp_path / "features.parquet"
    embed_catalog(tmp_path / "own.keras", read_catalog(folder / "catalog.ecsv"), out)
    from galcnn.model import fit_preprocessing

    kept = images[np.arange(N) != 5]
    scaled = fit_preprocessing(kept, stretch="auto").predict(kept, verbose=0)
    expected = keras.Model(inputs, pooled).predict(scaled, verbose=0)
    np.testing.assert_allclose(read_embedded(out).features[np.arange(N) != 5], expected, rtol=1e-4, atol=1e-4)


def test_a_table_is_kept_and_another_one_is_not_overwritten(sky, trained, tmp_path, capsys):
    folder, _ = sky
    save_model(trained, tmp_path / "model")
    out = tmp_path / "features.parquet"
    words = ["embed", str(tmp_path / "model"), "--catalog", str(folder / "catalog.ecsv"), "--out", str(out)]
    assert main([*words, "--quiet"]) == 0
    assert f"{N} galaxies" in capsys.readouterr().out
    before = out.stat().st_mtime_ns
    assert main([*words, "--quiet"]) == 0
    assert out.stat().st_mtime_ns == before, "the same embeddings are not computed again"
    assert main([*words, "--size", "16", "--quiet"]) == 2
    assert "holds other embeddings" in capsys.readouterr().err
    pq.write_table(pa.table({"mine": [1]}), tmp_path / "mine.parquet")
    assert main([*words[:-1], str(tmp_path / "mine.parquet"), "--quiet"]) == 2
    assert main(["neighbours", str(out), "--galaxy", "g1"]) == 0
    assert main(["label-next", str(out), "-n", "4", "--strategy", "k-center"]) == 0
    assert main(["label-next", str(out), "-n", "4"]) == 2
    assert "--strategy k-center" in capsys.readouterr().err


def tables(folder, features):
    """The same embeddings as other programs write them."""
    n = len(features)
    ids = [f"g{i}" for i in range(n)]
    np.save(
        folder / "fields.npy",
        np.array(
            [(one, row) for one, row in zip(ids, features, strict=True)],
            dtype=[("id", "U4"), ("embedding", "f4", features.shape[1])],
        ),
    )
    Table({"id": ids, "embedding": features}).write(folder / "one.ecsv")
    numbered = {f"feat_{k}": features[:, k] for k in range(features.shape[1])}
    Table({"id": ids} | numbered | {"redshift": np.zeros(n)}).write(folder / "numbered.csv")
    pq.write_table(pa.table({"id": ids, "embedding": features.tolist()}), folder / "lists.parquet")
    pq.write_table(pa.table({"id": ids} | numbered), folder / "numbered.parquet")
    return ["fields.npy", "one.ecsv", "numbered.csv", "lists.parquet", "numbered.parquet"]


def test_tables_of_other_programs_give_the_same_neighbours(tmp_path):
    features = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32)
    distance = 1 - features @ features[4] / np.linalg.norm(features, axis=1) / np.linalg.norm(features[4])
    order = [f"g{row}" for row in np.argsort(distance) if row != 4][:6]
    for name in tables(tmp_path, features):
        found = read_embedded(tmp_path / name)
        np.testing.assert_allclose(found.features, features, rtol=1e-6, err_msg=name)
        assert list(nearest(found, "g4", n=6)["id"]) == order, name
    np.save(tmp_path / "plain.npy", features)
    plain = read_embedded(tmp_path / "plain.npy")
    assert [f"g{one}" for one in nearest(plain, "4", n=6)["id"]] == order
    chosen = label_next(plain, 5, strategy="k-center")
    assert chosen.colnames == ["rank", "id", "score"]
    assert len(set(chosen["id"])) == 5


@pytest.mark.parametrize("strategy", ["entropy", "margin", "diverse", "bald"])
def test_strategies_of_probabilities_are_refused_without_them(tmp_path, strategy):
    np.save(tmp_path / "a.npy", np.eye(4))
    with pytest.raises(ValueError, match=r"a strategy among .*k-center"):
        label_next(read_embedded(tmp_path / "a.npy"), 2, strategy=strategy)


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("none.parquet", None, "a table of embeddings"),
        ("ragged.parquet", {"id": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]}, "embeddings of one length"),
        ("text.parquet", {"id": ["a", "b"], "name": ["x", "y"]}, "a column 'embedding', or one numbered"),
        ("no_id.parquet", {"f0": [1.0, 2.0], "f1": [1.0, 2.0]}, "a column 'id'"),
        ("twice.parquet", {"id": ["a", "a"], "embedding": [[1.0], [2.0]]}, "unique ids"),
        (
            "two.parquet",
            {"id": ["a"], "f0": [1.0], "f1": [1.0], "g0": [1.0], "g1": [1.0]},
            "a column 'embedding'",
        ),
    ],
)
def test_what_is_no_table_of_embeddings_is_said(tmp_path, name, write, says):
    if write is not None:
        pq.write_table(pa.table(write), tmp_path / name)
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        read_embedded(tmp_path / name)


def test_a_pickle_is_not_read(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"id": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="an array of numbers"):
        read_embedded(tmp_path / "a.npy")


def test_a_model_that_ships_embeds_pictures(tmp_path):
    """By its name; as many features as its last layer reads."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(3):
        picture = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    Table({"id": list("abc"), "image": [f"{i}.png" for i in range(3)]}).write(tmp_path / "catalog.csv")
    embed_catalog("gz1", read_catalog(tmp_path / "catalog.csv"), tmp_path / "f.parquet")
    found = read_embedded(tmp_path / "f.parquet")
    assert found.ids == ("a", "b", "c")
    assert found.usable.all()
    assert found.features.shape[1] == load_model("gz1").network.layers[-1].input.shape[-1]
