"""galcnn attack: many galaxies, resumed, tabled; the robustness curve; the figures."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from galcnn.adversarial import PGD, SmallestEpsilon
from galcnn.cli.main import main
from galcnn.dataset import InputFiles
from galcnn.files import save_cutout
from galcnn.layers import read_syntheses
from galcnn.model import save_model
from galcnn.pipeline import Robustness, robustness_curve
from galcnn.viewers import adversarial_figure
from galcnn.viewers.plots.adversarial import robustness_figure
from tests.adversarial.test_perturbation import some_cutouts
from tests.conftest import toy_images

N = 8


@pytest.fixture(scope="module")
def road(trained, tmp_path_factory):
    """A folder with a model, galaxies with noise and PSF, and their catalog."""
    folder = tmp_path_factory.mktemp("fooling")
    save_model(trained, folder / "model")
    names = [f"g{i}" for i in range(N)]
    for name, cutout in zip(names, some_cutouts(N), strict=True):
        save_cutout(cutout, folder / f"{name}.fits")
    _, labels = toy_images(N, seed=9)
    table = Table({"id": names, "class": [("round", "thin")[label] for label in labels]})
    table["image"] = [str(folder / f"{name}.fits") for name in names]
    table.write(folder / "catalog.ecsv")
    return folder


def test_many_galaxies_are_fooled_tabled_and_not_again(road, tmp_path, capsys):
    images = [str(road / f"g{i}.fits") for i in range(3)]
    words = ["attack", str(road / "model"), *images, "--out", str(tmp_path / "out"), "--quiet"]
    words += ["--attack", "pgd:epsilon=2,steps=5", "--attack", "minimal:bisections=1,iterations=15"]
    assert main([*words, "--save", str(tmp_path / "a.png")]) == 0
    said = capsys.readouterr().out
    assert "pgd: " in said
    assert "chi-square per degree" in said
    assert (tmp_path / "a.png").stat().st_size > 10_000
    table = Table.read(tmp_path / "out" / "attacks.ecsv")
    assert list(table["id"]) == ["g0", "g0", "g1", "g1", "g2", "g2"]
    assert list(table["attack"]) == ["pgd", "minimal"] * 3
    for row in table:
        made = read_syntheses(tmp_path / "out" / row["file"])[row["attack"] == "minimal"]
        assert made.success == row["success"]
        change = made.perturbation.astype(float) / made.sigma
        assert row["chi_square"] == pytest.approx(np.mean(change**2), rel=1e-6)
        assert row["largest_sigma"] == pytest.approx(np.abs(change).max(), rel=1e-6)
        expected = -2.5 * np.log10(made.image[0].sum(dtype=float) / made.start[0].sum(dtype=float))
        assert row["magnitude_g"] == pytest.approx(expected, rel=1e-3)
        assert (row["before"] != row["after"]) == row["success"]
    times = [(tmp_path / "out" / f"g{i}-attack.fits").stat().st_mtime_ns for i in range(3)]
    (tmp_path / "out" / "g1-attack.fits").unlink()
    assert main(words) == 0
    again = [(tmp_path / "out" / f"g{i}-attack.fits").stat().st_mtime_ns for i in range(3)]
    assert [a == b for a, b in zip(times, again, strict=True)] == [True, False, True]
    other = Table.read(tmp_path / "out" / "attacks.ecsv")
    assert all(np.array_equal(table[name], other[name]) for name in table.colnames)
    capsys.readouterr()
    assert main([*words, "--target", "round"]) != 0, "another question"
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "g0-attack.fits").stat().st_mtime_ns == times[0]
    assert main([*words, "--target", "round", "--overwrite"]) == 0
    assert (tmp_path / "out" / "g0-attack.fits").stat().st_mtime_ns != times[0]


def test_all_attacks_on_a_catalog_of_one_class_from_the_command_line(road, tmp_path, capsys):
    words = ["attack", str(road / "model"), "--catalog", str(road / "catalog.ecsv"), "--of", "thin"]
    words += ["--split", "all"]
    words += ["--target", "round", "--attack", "all", "--out", str(tmp_path), "--quiet", "--seed", "3"]
    assert main(words) == 0
    table = Table.read(tmp_path / "attacks.ecsv")
    skies = np.char.startswith(np.array(table["id"], dtype=str), "sky of ")
    galaxies = set(table["id"][~skies])
    assert set(table["attack"][skies]) == {"sky_ascent", "sky_evolution"}
    assert set(table["id"][skies]) == {f"sky of {name}" for name in galaxies}
    assert 2 <= len(galaxies) <= N
    assert len(table) == 7 * len(galaxies)
    own = table[table["attack"] == "minimal"]
    assert set(own["before"]) == {"thin"}
    assert set(own["after"]) == {"round"}
    universal = table[table["attack"] == "universal"]
    assert set(universal["id"][universal["fitted"]]) < galaxies, "made of some, tried on all"
    assert not table["fitted"][table["attack"] != "universal"].any()
    assert "galaxies that it was not fitted to" in capsys.readouterr().out
    with fits.open(tmp_path / str(own["file"][0])) as hdulist:
        patterns = [hdu.name for hdu in hdulist if hdu.name.startswith("DIFF10_UNIVERSAL")]
        assert len(patterns) == 2
    one, two = (read_syntheses(tmp_path / str(file))[4] for file in own["file"][:2])
    np.testing.assert_allclose(one.perturbation, two.perturbation, atol=1e-3)


def test_the_curve_falls_resumes_and_agrees_with_the_smallest_epsilons(road, trained, tmp_path, capsys):
    words = ["attack", str(road / "model"), "--catalog", str(road / "catalog.ecsv"), "--curve", "--quiet"]
    words += ["--split", "all"]
    words += [
        "--number",
        "6",
        "--epsilons",
        "0.1,1,4",
        "--attack",
        "pgd:steps=10,start=image",
    ]
    words += ["--out", str(tmp_path / "out")]
    assert main([*words, "--save", str(tmp_path / "curve.png")]) == 0
    assert "6 galaxies" in capsys.readouterr().out
    curve = Table.read(tmp_path / "out" / "robustness.ecsv")
    assert list(curve["epsilon"]) == [0, 0.1, 1, 4]
    assert np.all(np.diff(curve["accuracy"]) <= 0)
    assert curve["accuracy"][-1] < curve["accuracy"][0]
    assert np.all((curve["low"] <= curve["accuracy"]) & (curve["accuracy"] <= curve["high"]))
    assert curve["random_accuracy"][1] == curve["accuracy"][0]
    answers = Table.read(tmp_path / "out" / "answers.ecsv")
    # The same from the other side: a galaxy holds out against an epsilon below its smallest.
    labels = [str(label) for label in answers["class"]]
    from galcnn.adversarial import away_from
    from galcnn.adversarial.perturbation import prepared_alike
    from galcnn.model.forward import outputs

    seen = prepared_alike(trained, some_cutouts(N)[:6], list(answers["id"]))
    images, context = seen.images, seen.context
    targets = [away_from(label, trained.classes) for label in labels]
    search = SmallestEpsilon(PGD(steps=10, start="image"))
    made = search(trained.model, images, targets, context=context)
    smallest = np.abs((made - images) / context.sigma).max(axis=(1, 2, 3))
    right = np.argmax(outputs(trained.model, images), axis=1) == [trained.classes.index(x) for x in labels]
    for epsilon in (0.1, 1, 4):
        clear = np.abs(np.log(np.maximum(smallest, 1e-9) / epsilon)) > 0.1
        held = right & (smallest > epsilon)
        np.testing.assert_array_equal(answers[f"held_{epsilon:g}"][clear], held[clear])
    changed = answers.copy()
    changed["held_1"], changed["random_1"] = False, ~changed["random_1"]
    changed.remove_columns(["held_4", "random_4"])
    changed.write(tmp_path / "out" / "answers.ecsv", overwrite=True)
    assert main(words) == 0
    told = (tmp_path / "out" / "answers.ecsv").read_bytes()
    resumed = Table.read(tmp_path / "out" / "answers.ecsv")
    np.testing.assert_array_equal(resumed["random_1"], changed["random_1"])  # not computed again
    assert not resumed["held_4"].any(), "fooled by an epsilon, fooled by any larger one"
    assert main([*words, "--seed", "1"]) == 2
    assert "one with the same model, galaxies, attack and epsilons" in capsys.readouterr().err
    assert (tmp_path / "out" / "answers.ecsv").read_bytes() == told
    assert main([*words, "--seed", "1", "--overwrite"]) == 0
    again = Table.read(tmp_path / "out" / "answers.ecsv")
    assert (again["random_1"] != changed["random_1"]).any(), "another question"


def test_the_curve_has_the_exact_interval_of_its_bootstrap(road, trained, tmp_path):
    files = InputFiles({f"g{i}": road / f"g{i}.fits" for i in range(N)})
    _, labels = toy_images(N, seed=9)
    names = [trained.classes[label] for label in labels]
    for name in ("a", "b"):
        curve = robustness_curve(trained, files, names, Robustness(PGD(steps=3), (0.5,)), tmp_path / name)
    again = Table.read(tmp_path / "a" / "robustness.ecsv")
    assert all(np.array_equal(curve[name], again[name]) for name in curve.colnames)
    with pytest.raises(ValueError, match="one label for each of 8"):
        robustness_curve(trained, files, names[:3], Robustness(PGD(), (0.5,)), tmp_path)
    for epsilons in ((), (0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="epsilons above zero, increasing"):
            Robustness(PGD(), epsilons)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "image files, or --catalog"),
        (["g0.fits", "--curve"], "--catalog FILE with"),
        (["--catalog", "catalog.ecsv", "--epsilons", "1"], "--curve with --epsilons"),
        (["--catalog", "catalog.ecsv", "--curve", "--target", "round"], "no --target"),
        (
            ["--catalog", "catalog.ecsv", "--split", "all", "--curve", "--attack", "minimal"],
            "one attack with an epsilon",
        ),
        (["--catalog", "catalog.ecsv", "--curve"], "how its catalog was split"),
        (["g0.fits", "--attack", "deepfool"], "an attack among"),
        (["g0.fits", "--target", "square"], "square"),
        (["g0.fits", "--of", "square"], "square"),
        (["g0.fits", "--save", "a.jpg"], "ending in .png or .pdf"),
    ],
)
def test_bad_words_get_one_clear_line(road, tmp_path, capsys, words, said):
    here = [str(road / word) if word.endswith((".fits", ".ecsv")) else word for word in words]
    assert main(["attack", str(road / "model"), *here, "--out", str(tmp_path / "out"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*-attack.fits"))


def test_figures_show_the_change_in_its_own_unit(trained):
    from galcnn.adversarial import attack

    made = attack(trained, some_cutouts(2), attacks=[PGD(2.0, steps=4)])
    figure = adversarial_figure({"a": made[0], "b": made[1]}, trained.classes)
    panels = [axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]
    assert len(panels) == 8
    change = np.ma.filled(panels[3].images[0].get_array(), np.nan)
    np.testing.assert_allclose(change, made[0][0].perturbation_in_sigma.sum(axis=0), rtol=1e-5, atol=1e-5)
    tenfold = np.ma.filled(panels[2].images[0].get_array(), np.nan)
    np.testing.assert_allclose(tenfold, 10 * change, rtol=1e-6)
    assert panels[2].images[0].get_clim() == panels[3].images[0].get_clim(), "one scale for both"
    assert "sigma" in panels[3].get_title()
    plain = adversarial_figure({"a": made[0]})
    assert f": {made[0][0].score:.3g}" in plain.axes[1].get_title(), "without classes the score"
    with pytest.raises(ValueError, match="1 to 20 rows"):
        adversarial_figure({}, trained.classes)
    columns = ("accuracy", "low", "high", "random_accuracy", "random_low", "random_high")
    curve = Table({"epsilon": [0, 1.0]} | {name: [0.9, 0.5] for name in columns})
    (axes,) = robustness_figure({"a": curve}, unit="sigma").axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.9, 0.5])
    assert axes.get_xlabel() == "epsilon [sigma]"
