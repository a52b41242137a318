"""Neighbours and suggestions by value: brute force, planted clusters, closed forms; never a galaxy unseen."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.pipeline import label_next, nearest, read_embedded
from galcnn.pipeline.labelling import STRATEGIES
from galcnn.pipeline.neighbours import METRICS, Embedded
from galcnn.uncertainty import Uncertainty


def embedded(features, probabilities=None, flags=None, disagreement=None):
    features = np.asarray(features, dtype=np.float32)
    n = len(features)
    p = (
        np.random.default_rng(3).dirichlet([1, 1, 1], n)
        if probabilities is None
        else np.asarray(probabilities)
    )
    flags = np.zeros(n, int) if flags is None else np.asarray(flags)
    return Embedded(
        tuple(f"g{i}" for i in range(n)), features, tuple("abc"[: p.shape[1]]), p, flags, disagreement
    )


def written(path, pool, **columns):
    """A table as galcnn classify writes it (docs/pipeline.md)."""
    flat = pa.array(pool.features.ravel())
    table = {"id": list(pool.ids)}
    table |= {f"p_{name}": pool.probabilities[:, k] for k, name in enumerate(pool.classes)}
    table |= {"flag": pool.flags.astype(np.int16), "mutual_information": pool.mutual_information}
    table |= {"embedding": pa.FixedSizeListArray.from_arrays(flat, pool.features.shape[1])} | columns
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: values for name, values in table.items() if values is not None}), path)
    return path


@pytest.fixture
def cloud():
    rng = np.random.default_rng(0)
    return embedded(rng.gamma(2.0, size=(300, 12)))


@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_are_those_of_brute_force(cloud, metric):
    x = cloud.features.astype(float)
    if metric == "euclidean":
        distance = np.sqrt(((x - x[7]) ** 2).sum(axis=1))
    else:
        distance = 1 - x @ x[7] / np.linalg.norm(x, axis=1) / np.linalg.norm(x[7])
    order = [row for row in np.argsort(distance) if row != 7][:20]
    found = nearest(cloud, "g7", n=20, metric=metric)
    assert list(found["id"]) == [f"g{row}" for row in order]
    np.testing.assert_allclose(found["distance"], distance[order], rtol=1e-10)
    assert list(found["rank"]) == list(range(1, 21))
    p = cloud.probabilities[order]
    assert list(found["class"]) == [cloud.classes[k] for k in p.argmax(axis=1)]
    np.testing.assert_array_equal(found["p"], p.max(axis=1))


def test_features_of_another_galaxy_and_more_neighbours_than_there_are(cloud):
    found = nearest(cloud, cloud.features[7], n=1000)
    assert found["id"][0] == "g7", "it is another galaxy: itself is not left out"
    assert found["distance"][0] == pytest.approx(0, abs=1e-12)
    assert len(found) == 300
    assert "query" not in found.meta, "it is not a galaxy of the table"
    assert nearest(cloud, "g7").meta["query"] == "g7"


def test_galaxies_that_were_not_seen_are_no_neighbours():
    """Unreadable, unfit, masked and blank ones are left out; one unlike the training set (16) stays."""
    features = np.arange(1.0, 8)[:, np.newaxis] * [1.0, 0.1]
    features[5] = np.nan
    pool = embedded(features, flags=[0, 1, 2, 4, 8, 0, 16])
    assert list(nearest(pool, "g0", metric="euclidean")["id"]) == ["g6"]
    with pytest.raises(ValueError, match="a galaxy with an embedding"):
        nearest(pool, "g5")


@pytest.mark.parametrize(
    ("query", "settings", "why"),
    [
        ("nobody", {}, "an id of the table"),
        ("g1", {"metric": "manhattan"}, "a metric among"),
        ("g1", {"n": 0}, "at least one"),
        ([1.0, 2.0], {}, "12 finite features"),
        ([np.nan] * 12, {}, "12 finite features"),
    ],
)
def test_neighbours_that_cannot_be_asked_for(cloud, query, settings, why):
    with pytest.raises(ValueError, match=why):
        nearest(cloud, query, **settings)


def test_scores_are_the_closed_forms():
    p = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.4, 0.35, 0.25], [0.6, 0.2, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    pool = embedded(np.eye(5), p)
    found = {name: label_next(pool, 5, strategy=name) for name in ("entropy", "margin", "least-confidence")}
    assert list(found["entropy"]["id"]) == ["g4", "g2", "g3", "g1", "g0"]
    np.testing.assert_allclose(found["entropy"]["score"][[0, 3, 4]], [np.log(3), np.log(2), 0], atol=1e-15)
    assert list(found["margin"]["id"]) == ["g1", "g4", "g2", "g3", "g0"]
    np.testing.assert_allclose(found["margin"]["score"], [0, 0, 0.05, 0.4, 1], atol=1e-15)
    assert list(found["least-confidence"]["id"]) == ["g4", "g2", "g1", "g3", "g0"]
    np.testing.assert_allclose(found["least-confidence"]["score"], [1 / 3, 0.4, 0.5, 0.6, 1])


def test_bald_wants_disagreement_not_doubt():
    """All members unsure alike teach nothing; each sure of another class does: ln 2."""
    members = np.array([[[0.5, 0.5], [1, 0], [0.9, 0.1]], [[0.5, 0.5], [0, 1], [0.8, 0.2]]])
    several = Uncertainty(members)
    pool = embedded(np.eye(3), several.probabilities, disagreement=several.mutual_information)
    found = label_next(pool, 3, strategy="bald")
    assert list(found["id"]) == ["g1", "g2", "g0"]
    assert found["score"][0] == pytest.approx(np.log(2))
    assert next(iter(label_next(pool, 1, strategy="entropy")["id"])) == "g0"
    with pytest.raises(ValueError, match="a run with the column 'mutual_information'"):
        label_next(embedded(np.eye(3)), 1, strategy="bald")


def test_k_center_is_greedy_and_covers_within_twice_the_best_radius():
    """On a line the best radius is known: five centres of ten points a unit apart leave 1/2."""
    line = embedded(np.arange(10.0)[:, np.newaxis])
    found = label_next(line, 5, strategy="k-center")
    picked = [int(name[1:]) for name in found["id"]]
    assert picked[:3] == [4, 9, 0]  # nearest to the middle (first of two), then furthest, then furthest
    radius = max(min(abs(i - j) for j in picked) for i in range(10))
    assert radius <= 2 * 0.5
    assert all(a >= b for a, b in pairwise(found["score"][1:])), "ever nearer to what is chosen"


def test_k_center_begins_at_what_is_labelled():
    line = embedded(np.arange(10.0)[:, np.newaxis])
    found = label_next(line, 2, strategy="k-center", labelled=["g9", "elsewhere"])
    assert list(found["id"]) == ["g0", "g4"] or list(found["id"]) == ["g0", "g5"]
    assert found["score"][0] == 9


def test_diverse_takes_one_of_each_planted_cluster_where_entropy_takes_all_of_one():
    rng = np.random.default_rng(5)
    centres = np.eye(4) * 20
    features = np.concatenate([c + rng.normal(0, 0.3, (30, 4)) for c in centres])
    doubt = np.repeat([0.5, 0.42, 0.41, 0.40], 30) + rng.uniform(0, 0.005, 120)  # all in the first cluster
    p = np.column_stack([1 - doubt, doubt])
    p[:30] = [0.5, 0.5]
    pool = embedded(features, p)
    of = {f"g{i}": i // 30 for i in range(120)}
    assert [of[name] for name in label_next(pool, 4, strategy="entropy")["id"]] == [0, 0, 0, 0]
    some = embedded(features[::3], p[::3])  # 40 = ten times as many as are wanted: all are looked at
    chosen = label_next(some, 4, strategy="diverse")
    assert sorted(int(name[1:]) // 10 for name in chosen["id"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_leaves_out_what_is_labelled_flagged_or_a_twin(strategy):
    rng = np.random.default_rng(8)
    features = rng.normal(5, 1, (40, 6))
    features[20:30] = features[10:20] * (1 + 1e-7)  # the same images once more, rounded otherwise
    features[30] = features[0]  # a twin of a labelled one
    features[35] = np.nan
    flags = np.zeros(40, int)
    flags[31:35] = [1, 2, 4, 8]
    flags[36] = 16
    pool = embedded(features, flags=flags, disagreement=rng.uniform(size=40))
    labelled = [f"g{i}" for i in range(10)]
    found = label_next(pool, 100, strategy=strategy, labelled=labelled, seed=1)
    rows = [int(name[1:]) for name in found["id"]]
    assert len(rows) == len(set(rows)) == 14
    assert set(rows) & {36} == {36}, "one unlike the training set may be the most worth a label"
    assert not set(rows) & {*range(10), 30, 31, 32, 33, 34, 35}
    assert {row % 10 for row in rows if row < 30} == set(range(10)), "one of each pair"
    again = label_next(pool, 100, strategy=strategy, labelled=labelled, seed=1)
    assert list(again["id"]) == list(found["id"])
    assert len(label_next(pool, 3, strategy=strategy, labelled=labelled)) == 3


def test_random_is_another_draw_with_another_seed_and_fair(cloud):
    draws = [tuple(label_next(cloud, 5, strategy="random", seed=seed)["id"]) for seed in range(60)]
    assert len(set(draws)) == 60
    counts = np.bincount([int(name[1:]) // 100 for draw in draws for name in draw], minlength=3)
    assert np.abs(counts - 100).max() < 4 * np.sqrt(300 * (1 / 3) * (2 / 3))


def test_an_empty_pool_gives_an_empty_table(cloud):
    for strategy in set(STRATEGIES) - {"bald"}:
        found = label_next(cloud, 3, strategy=strategy, labelled=cloud.ids)
        assert len(found) == 0
        assert found.colnames == ["rank", "id", "score", "class", "p"]
    with pytest.raises(ValueError, match="a strategy among"):
        label_next(cloud, 3, strategy="best")
    with pytest.raises(ValueError, match="at least one galaxy"):
        label_next(cloud, 0)


@pytest.mark.parametrize("disagreement", [None, np.linspace(0, 1, 300)])
def test_a_table_of_a_run_comes_back(cloud, tmp_path, disagreement):
    pool = embedded(cloud.features, flags=[8] + [0] * 299, disagreement=disagreement)
    written(tmp_path / "run" / "table.parquet", pool)
    for place in (tmp_path / "run", tmp_path / "run" / "table.parquet"):
        back = read_embedded(place)
        assert (back.ids, back.classes) == (pool.ids, pool.classes)
        for name in ("features", "probabilities", "flags", "mutual_information"):
            np.testing.assert_array_equal(getattr(back, name), getattr(pool, name))


def test_a_column_of_p_values_is_no_class(cloud, tmp_path):
    with_values = written(tmp_path / "run" / "table.parquet", cloud, p_value=np.linspace(0, 1, 300))
    back = read_embedded(with_values)
    assert back.classes == cloud.classes
    np.testing.assert_array_equal(back.probabilities, cloud.probabilities)


def test_tables_that_do_not_fit_are_refused(cloud, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing="):
        read_embedded(tmp_path / "none")
    with pytest.raises(ValueError, match="Run galcnn classify --embeddings"):
        read_embedded(written(tmp_path / "bare.parquet", cloud, embedding=None))
    with pytest.raises(ValueError, match="embeddings of one length"):
        read_embedded(written(tmp_path / "odd.parquet", cloud, embedding=[[1.0]] * 299 + [[1.0, 2.0]]))
    bare = read_embedded(written(tmp_path / "votes.parquet", cloud, p_a=None, p_b=None, p_c=None))
    assert bare.classes == ()
    assert bare.probabilities.shape == (300, 0)
    (tmp_path / "text.parquet").write_text("x")
    with pytest.raises(ValueError, match="a Parquet table"):
        read_embedded(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="unique ids"):
        Embedded(("a", "a"), np.ones((2, 3), np.float32), ("x", "y"), np.full((2, 2), 0.5), np.zeros(2, int))
    with pytest.raises(ValueError, match="features, probabilities and flags of 2"):
        Embedded(("a", "b"), np.ones((2, 3), np.float32), ("x", "y"), np.full((1, 2), 0.5), np.zeros(2, int))


def test_the_commands_say_what_python_says(cloud, tmp_path, capsys):
    run = str(written(tmp_path / "run" / "table.parquet", cloud).parent)
    assert (
        main(["--json", "neighbours", run, "--galaxy", "g7", "-n", "4", "--out", str(tmp_path / "like.ecsv")])
        == 0
    )
    rows = json.loads(capsys.readouterr().out)["result"]["rows"]
    expected = nearest(cloud, "g7", n=4)
    assert [row["id"] for row in rows] == list(expected["id"])
    np.testing.assert_allclose(Table.read(tmp_path / "like.ecsv")["distance"], expected["distance"])
    labels = tmp_path / "labels.csv"
    labels.write_text("name\ng1\ng2\n")
    words = [
        "label-next",
        run,
        "-n",
        "6",
        "--strategy",
        "k-center",
        "--labelled",
        str(labels),
        "--id",
        "name",
    ]
    assert main(["--json", *words]) == 0
    rows = json.loads(capsys.readouterr().out)["result"]["rows"]
    assert [row["id"] for row in rows] == list(
        label_next(cloud, 6, strategy="k-center", labelled=["g1", "g2"])["id"]
    )
    assert main(["--json", "label-next", run, "-n", "2", "--strategy", "random"]) == 0
    assert [row["score"] for row in json.loads(capsys.readouterr().out)["result"]["rows"]] == [None, None]
    for wrong in (
        ["neighbours", run],
        ["neighbours", run, "--image", "x.fits"],
        ["neighbours", run, "--galaxy", "g7", "--images", "cutouts"],
        ["neighbours", run, "--galaxy", "g7", "--bands", "g,r"],
        ["label-next", run, "--id", "name"],
        ["label-next", run, "--strategy", "bald"],
    ):
        assert main(wrong) == 2
        assert "Traceback" not in capsys.readouterr().err
