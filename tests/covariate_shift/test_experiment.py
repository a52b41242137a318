"""The covariate-shift test: equal variants are called equal, a planted shift is found, a run goes on."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import QTable

from galcnn._runtime import seeding
from galcnn._runtime.atomic import MARK
from galcnn.cli.main import main
from galcnn.covariate_shift import read_shift, run_shift
from galcnn.covariate_shift.report import contrast_table, falls_at, primary_verdict, score_table, summary
from galcnn.covariate_shift.sample import RedshiftedSample, described, draw_sample, name_at
from galcnn.covariate_shift.settings import ShiftSettings
from galcnn.model import NetworkSettings, fit_preprocessing, images_from, invert
from galcnn.redshifting import Redshifting, magnification, redshift
from galcnn.simulation import draw, from_catalog, simulate_catalog
from galcnn.training import Augmentation, TrainingSettings
from tests.conftest import toy_images

TINY = ShiftSettings(
    classes=("elliptical", "spiral"),
    bands=("g", "r"),
    depth=None,
    size=16,
    train_redshifts=(0.03, 0.06),
    test_redshifts=(0.05, 0.1),
    n_train=160,
    n_validation=40,
    n_test=120,
    n_adapt=60,
    variants=("none", "standardised"),
    primary=("standardised", "none"),
    repeats=5,
    learning_rates=(0.01,),
    network=NetworkSettings(widths=(8, 16), depth=1, stem=0, dropout=0.0),
    training=TrainingSettings(
        epochs=10,
        batch_size=16,
        label_smoothing=0.0,
        optimizer="Adam",
        augmentation=Augmentation(rotations="quarter"),
    ),
)


def logits_of(skills, *, seeds=5, n=300, luck=0.01, rng=None):
    """Logits of variants that are right with a chance that rises and falls with the galaxy and the seed."""
    rng = rng or np.random.default_rng(0)
    labels = np.arange(n, dtype=np.int32) % 2
    hard = rng.uniform(-0.25, 0.25, n)
    found = {}
    for variant, chances in skills.items():
        right = np.stack(
            [
                [rng.random(n) < chance + hard + rng.normal(0, luck) for chance in chances]
                for _ in range(seeds)
            ]
        )
        guess = np.where(right, labels, 1 - labels)
        found[variant] = np.eye(2, dtype=np.float32)[guess] * 3
    return found, labels


def test_arms_of_equal_skill_are_equal_or_undecided():
    settings = replace(TINY, variants=("none", "batch", "group"), primary=("batch", "none"))
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(25):
        logits, labels = logits_of(dict.fromkeys(settings.variants, (0.9, 0.7)), rng=rng)
        table = contrast_table(logits, labels, settings)
        wrong += any(word in ("better", "worse") for word in table["verdict"])
        assert primary_verdict(logits, labels, settings)[0].word != "not judged"
    assert wrong <= 4, "Holm keeps all questions together at 5 %"


def test_one_network_against_itself_is_no_difference():
    logits, labels = logits_of({"none": (0.9, 0.7)})
    logits["batch"] = logits["none"]
    settings = replace(TINY, variants=("none", "batch"), primary=("batch", "none"))
    assert set(contrast_table(logits, labels, settings)["verdict"]) == {"no difference larger than delta"}


def test_a_better_variant_is_named_and_the_oracle_parts_loss_from_shift():
    settings = replace(TINY, variants=("none", "group", "oracle"), primary=("group", "none"))
    logits, labels = logits_of({"none": (0.95, 0.6), "group": (0.95, 0.85), "oracle": (0.97, 0.9)}, n=600)
    scores, contrasts = score_table(logits, labels, settings), contrast_table(logits, labels, settings)
    found = primary_verdict(logits, labels, settings)
    assert found[0].word == "better"
    assert found[1] == (0.1,)
    text = summary(scores, contrasts, *found, settings)
    assert "group is better than none" in text
    assert "by the shift" in text
    row = scores[(scores["variant"] == "none") & (scores["z"] == 0.1)][0]
    right = (logits["none"][:, 1].argmax(axis=-1) == labels).mean()
    assert row["accuracy"] == pytest.approx(right)
    guess = logits["none"][:, 1].argmax(axis=-1)
    complete = np.mean([(one[labels == 1] == 1).mean() for one in guess])
    assert row["completeness_spiral"] == pytest.approx(complete)


def test_where_the_oracle_fails_there_is_no_verdict():
    settings = replace(TINY, variants=("none", "group", "oracle"), primary=("group", "none"))
    logits, labels = logits_of({"none": (0.95, 0.5), "group": (0.95, 0.8), "oracle": (0.95, 0.6)})
    assert primary_verdict(logits, labels, settings)[0].word == "not judged"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Toy galaxies; beyond training stretched images are fainter by ten and on a sky of their own."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "data").mkdir()

    stretch = fit_preprocessing(toy_images(TINY.n_train, seed=1)[0], scaling="none")

    def write(name, n, seed, scale=1, offset=0):
        images, labels = toy_images(n, seed=seed)
        if scale != 1:
            images = invert(stretch, scale * stretch.predict(images, verbose=0) + offset)
        ids = np.array([f"{seed}-{i}" for i in range(n)])
        np.savez(folder / "data" / f"{name}.npz", images=images, labels=labels, ids=ids)

    write("train", TINY.n_train, 1)
    write("validation", TINY.n_validation, 2)
    write(name_at("test", 0.05), TINY.n_test, 3)
    write(name_at("test", 0.1), TINY.n_test, 3, scale=np.float32(0.1), offset=np.float32(2))
    return folder


def test_a_planted_shift_in_mean_and_scale_is_found(planted):
    """A variant that standardises each image does not see it; one without normalisation does."""
    # The drawn sets stand there already: the folder is claimed as a run of the same test would.
    digest = hashlib.sha256(f"one with the same test\n{described(TINY)}".encode()).hexdigest()
    (planted / MARK).write_text(digest)
    found = run_shift(TINY, planted)
    assert found.word == "better", found.text
    scores = QTable.read(planted / "scores.ecsv")
    table = {(row["variant"], row["z"]): row["accuracy"] for row in scores}
    assert table["none", 0.1] < table["none", 0.05] - 0.2
    assert table["standardised", 0.1] == pytest.approx(table["standardised", 0.05], abs=0.01)
    drifts = QTable.read(planted / "drift.ecsv")
    far = drifts[(drifts["layer"] == "input") & (drifts["z"] == 0.1)][0]
    near = drifts[(drifts["layer"] == "input") & (drifts["z"] == 0.05)][0]
    assert far["p_value"] == pytest.approx(1 / 200)
    assert far["distance"] > 5 * near["distance"]
    for name in ("accuracy.png", "classes.png", "drift.png", "contrasts.ecsv", "summary.md"):
        assert (planted / name).stat().st_size > 500


def test_a_run_goes_on_and_ends_as_if_never_stopped(planted):
    files = sorted((planted / "variants").glob("*-seed*.npz"))
    before = {file.name: file.read_bytes() for file in files}
    scores = (planted / "scores.ecsv").read_bytes()
    files[1].unlink()
    times = {file.name: file.stat().st_mtime_ns for file in files if file.exists()}
    run_shift(TINY, planted)
    for file in files:
        if file.name in times:
            assert file.stat().st_mtime_ns == times[file.name], "what is there is not done again"
    assert (planted / "scores.ecsv").read_bytes() == scores
    assert before.keys() == {file.name for file in files}
    with pytest.raises(ValueError, match="with the same test"):
        run_shift(replace(TINY, repeats=2), planted)


def test_the_sample_is_paired_disjoint_and_balanced(tmp_path):
    settings = replace(
        TINY,
        n_train=6,
        n_validation=4,
        n_test=4,
        n_adapt=4,
        variants=("batch", "batch_adapted", "oracle"),
        primary=("batch_adapted", "batch"),
    )
    sample = draw_sample(settings, tmp_path)
    near, far = sample.read(name_at("test", 0.05)), sample.read(name_at("test", 0.1))
    assert near.ids == far.ids
    assert np.array_equal(near.labels, far.labels)
    assert far.images.sum() < 0.6 * near.images.sum()
    names = ("train", "validation", "test-z0.05", "adapt-z0.05")
    sets = [set(sample.read(name).ids) for name in names]
    assert sum(len(one) for one in sets) == len(set().union(*sets))
    assert sample.read("oracle_train").ids == sample.read("train").ids
    assert near.counts == {"elliptical": 2, "spiral": 2}
    stamp = (tmp_path / "train.npz").stat().st_mtime_ns
    draw_sample(settings, tmp_path)
    assert (tmp_path / "train.npz").stat().st_mtime_ns == stamp


def test_augmented_images_are_redshifted_to_where_the_oracles_are(tmp_path):
    """As `redshift` makes them of a wide image; and about as bright and large as those drawn there."""
    settings = replace(
        TINY,
        n_train=12,
        n_validation=2,
        n_test=2,
        n_adapt=2,
        size=24,
        test_redshifts=(0.05, 0.2),
        variants=("none", "oracle", "augmented"),
        primary=("augmented", "none"),
    )
    sample = draw_sample(settings, tmp_path)
    near, drawn, moved = (sample.read(f"{name}train") for name in ("", "oracle_", "augmented_"))
    assert near.ids == moved.ids
    galaxies = from_catalog(
        simulate_catalog(
            12, seed=0, classes=TINY.classes, redshift_range=(0.03, 0.06), magnitude_range=(14, 17)
        )
    )
    beyond = 0
    for i, galaxy in enumerate(galaxies):
        z = 0.03 * (0.2 / 0.03) ** seeding.uniform(0, "oracle", galaxy.id)
        if z < 1.2 * galaxy.redshift:
            continue
        beyond += 1
        shrink = magnification(galaxy.redshift, z)
        wide = draw(galaxy, seed=0, observation=settings.telescope(), shape=(math.ceil(24 / shrink) + 1,) * 2)
        far = redshift(
            wide,
            z,
            observation=settings.telescope(),
            shape=(24, 24),
            settings=Redshifting(bandpass="same"),
        )
        assert np.array_equal(images_from([far])[0], moved.images[i])
        core = (slice(8, 16), slice(8, 16), 1)  # r: the K correction that is left out is small
        assert moved.images[i][core].sum() == pytest.approx(drawn.images[i][core].sum(), rel=0.3)
    assert beyond > 4


def test_scaled_images_show_the_same_number_of_radii(tmp_path):
    """The half-light radius in pixels is the same near and far."""
    settings = replace(TINY, n_train=2, n_validation=2, n_test=4, n_adapt=2, size=32, width="scaled")
    sample = draw_sample(settings, tmp_path)
    fixed = draw_sample(replace(settings, width="fixed"), tmp_path / "fixed")

    def concentration(one: RedshiftedSample, z):
        images = one.read(name_at("test", z)).images.sum(axis=-1)
        return (images[:, 12:20, 12:20].sum(axis=(1, 2)) / images.sum(axis=(1, 2)))[0]

    assert concentration(fixed, 0.1) > 1.2 * concentration(fixed, 0.05)
    assert concentration(sample, 0.1) == pytest.approx(concentration(sample, 0.05), rel=0.25)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("n_trian = 5", "Did you mean 'n_train'"),
        ('variants = ["bach"]', "different variants among"),
        ("test_redshifts = [0.2, 0.1]", "rising test redshifts"),
        ('primary = ["batch", "batch"]', "different primary"),
        ('observation = "lst"', "Did you mean 'lsst'"),
        ("delta = 2.0", "delta and skew"),
        ('variants = ["none", "batch", "augmented"]\nwidth = "scaled"', "fixed angle to redshift"),
        ("repeats = [", "a TOML file"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, capsys, text, told):
    file = tmp_path / "shift.toml"
    file.write_text(text)
    assert main(["shift", str(file), "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_settings_survive_json():
    plain = json.loads(json.dumps(ShiftSettings().to_dict()))
    assert plain["repeats"] == 5
    assert ShiftSettings().quick().repeats == 2


def test_a_file_may_set_the_network_too(tmp_path):
    file = tmp_path / "shift.toml"
    file.write_text("repeats = 3\n[network]\nwidths = [4, 8]\n[training]\nepochs = 2\n")
    settings = read_shift(file)
    assert settings.network.widths == (4, 8)
    assert settings.training.epochs == 2


def test_where_accuracy_has_fallen():
    z = [0.05, 0.1, 0.2]
    assert falls_at(z, [0.90, 0.88, 0.70], 5) == pytest.approx(0.1 + 0.1 * 3 / 18)
    assert np.isnan(falls_at(z, [0.90, 0.88, 0.87], 10))
