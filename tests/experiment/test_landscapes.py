"""From galcnn train to a landscape: every plane, its files, and going on."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image

from galcnn import load_model
from galcnn.cli.main import main
from galcnn.diagnostics import Grid, Objective, read_surface
from galcnn.experiment.landscapes import LandscapeSettings, objective_of

OPTIONS = (
    "--epochs",
    "3",
    "--set",
    "network.widths=4,6",
    "--set",
    "network.depth=1",
    "--set",
    "training.augmentation.flips=false",
    "--quiet",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bright and faint squares, and two models of them with different starts but one split."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    kinds = [("bright", "faint")[i % 2] for i in range(60)]
    sides = [("train", "train", "validation", "test")[i // 2 % 4] for i in range(60)]
    for i, kind in enumerate(kinds):
        picture = rng.integers(0, 60, (16, 16, 3))
        picture[5:11, 5:11] += 150 if kind == "bright" else 40
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"p{i}.png")
    Table({"image": [f"p{i}.png" for i in range(60)], "class": kinds, "split": sides}).write(
        folder / "c.ecsv"
    )
    for seed in (0, 1):
        words = ["train", "--catalog", str(folder / "c.ecsv"), "--out", str(folder / f"m{seed}"), *OPTIONS]
        assert main([*words, "--seed", str(seed), "--snapshots", str(folder / f"s{seed}")]) == 0
    return folder


def run(folder, out, *words):
    return main(
        ["landscape", str(folder / "m0"), "--out", str(folder / out), "--points", "3", "--quiet", *words]
    )


@pytest.mark.full
def test_random_directions_from_the_command_line(folder, capsys):
    before = (folder / "m0" / "model.keras").read_bytes()
    assert run(folder, "random", "--reach", "0.5") == 0
    shown = capsys.readouterr().out
    surface = read_surface(folder / "random" / "surface.npz")
    assert f"roughness {surface.roughness:.3f}" in shown
    assert surface.loss.shape == (3, 3)
    np.testing.assert_allclose(surface.alpha, [-0.5, 0, 0.5])
    assert {p.name for p in (folder / "random").glob("[!.]*")} == {
        "landscape.png",
        "rows.npz",
        "surface.fits",
        "surface.npz",
    }
    header = fits.getheader(folder / "random" / "surface.fits")
    assert header["GALCNN model"] == "m0"
    assert header["GALCNN images"] == 32, "the training set of the split"
    # The middle is the loss of the model itself on its training set, with one orientation as in training.
    trained = load_model(folder / "m0").with_orientations(1)
    objective = objective_of(trained, settings=LandscapeSettings(statistics="stored"))
    assert (folder / "m0" / "model.keras").read_bytes() == before
    logits = np.asarray(trained.network(objective.images, training=False), dtype=np.float64)
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(32), objective.labels])
    assert objective(objective.origin)[0] == pytest.approx(expected, rel=1e-5)


def test_the_same_command_again_computes_nothing(folder, monkeypatch):
    assert run(folder, "again", "--line") == 0
    first = (folder / "again" / "surface.npz").read_bytes()

    def never(self, weights):
        raise AssertionError("computed again")

    monkeypatch.setattr(Objective, "__call__", never)
    assert run(folder, "again", "--line") == 0
    assert len(first) == len((folder / "again" / "surface.npz").read_bytes())
    assert run(folder, "again", "--line", "--seed", "1") == 2, "another surface in its place"


def test_the_plane_of_the_training(folder, capsys):
    assert run(folder, "trajectory", "--snapshots", str(folder / "s0")) == 0
    surface = read_surface(folder / "trajectory" / "surface.fits")
    assert surface.path.shape == (4, 2), "the start and three epochs"
    share = surface.facts["explained_1"] + surface.facts["explained_2"]
    assert f"{share:.1%} of the variance of the trajectory" in capsys.readouterr().out
    distances = np.linalg.norm(surface.path, axis=1)
    assert distances.min() < 1e-6, "the model is one of its snapshots: the best"
    assert distances.argmin() > 0


def test_the_line_to_another_model(folder, capsys):
    assert run(folder, "line", "--between", str(folder / "m1")) == 0
    surface = read_surface(folder / "line" / "surface.npz")
    assert f"barrier {surface.barrier:.4f} nat" in capsys.readouterr().out
    assert surface.is_line
    trained, other = load_model(folder / "m0"), load_model(folder / "m1").with_orientations(1)
    own = objective_of(trained)
    there = Objective(other.network, own.images, own.labels)
    assert surface.loss[0, 0] == pytest.approx(own(own.origin)[0], rel=1e-5)
    assert surface.loss[0, -1] == pytest.approx(there(there.origin)[0], rel=1e-5)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--points", "4"), "odd number of points"),
        (("--snapshots", "none"), "a folder of snapshots"),
        (("--snapshots", "s", "--between", "m"), "snapshots, or another model"),
        (("--between", "m", "--line"), "random directions only"),
        (("--snapshots", "s", "--reach", "2"), "random directions only"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, capsys, words, text):
    assert run(folder, "refused", *words) == 2
    assert text in capsys.readouterr().err


def test_fewer_galaxies_are_drawn_by_the_seed(folder):
    trained = load_model(folder / "m0")
    images = [
        objective_of(trained, settings=LandscapeSettings(galaxies=9, seed=seed)).images for seed in (0, 0, 1)
    ]
    assert len(images[0]) == 9
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    with pytest.raises(ValueError, match="at least one galaxy"):
        LandscapeSettings(Grid(), galaxies=0)


def test_a_model_of_ones_own_is_told_what_to_do(trained):
    with pytest.raises(ValueError, match="pass your own images"):
        objective_of(trained)
