"""The values of shared options are parsed once, and passed on as the reader of images takes them."""

import astropy.units as u
import click
import pytest

from galcnn.cli import options
from galcnn.cli.main import main
from galcnn.experiment.assignments import with_assignments


def test_bands_of_one_letter_may_run_together():
    assert options.band_names("gri") == options.band_names("g,r,i") == ("g", "r", "i")
    assert [options.band_names(text) for text in ("r", "NUV", "F814W", "gri,", "gg", None)] == [
        ("r",),
        ("NUV",),
        ("F814W",),
        ("gri",),
        ("gg",),
        None,
    ]


@pytest.mark.parametrize("words", [["--bands", "gri"], ["--bands", "g,r,i"], ["--set", "data.bands=gri"]])
def test_bands_of_an_experiment_may_run_together(words):
    given = []

    @click.command()
    @options.settings(options.setting("--bands", "data.bands", "B,B,..."))
    def command():
        given.extend(options.assignments())

    command.main(words, standalone_mode=False)
    assert with_assignments({}, given)["data"]["bands"] == ("g", "r", "i")


def test_zero_points_and_hdus():
    assert options.zero_points("25.3") == 25.3
    assert options.zero_points("g=25.3, r=26.1") == {"g": 25.3, "r": 26.1}
    assert options.hdus("1,SCI") == [1, "SCI"]
    assert options.zero_points(None) is options.hdus(None) is None
    for text in ("x", "g=x", "g=1,r", "g=1,g=2", ""):
        with pytest.raises(click.BadParameter) as refused:
            options.zero_points(text)
        assert refused.value.param_hint == "--zero-point"


def test_the_reader_gets_the_options_that_a_command_has():
    given = {"bands": "gr", "fit": True, "grid": "g", "width": "40arcsec", "hdu": "1", "zero_point": "25"}
    assert options.reading(given | {"render": "sdss", "out": "x"}) == {
        "bands": ("g", "r"),
        "fit": True,
        "grid": "g",
        "width": 40 * u.arcsec,
        "hdu": [1],
        "zero_points": 25.0,
    }
    assert options.reading({"bands": None, "out": "x"}) == {"bands": None}


def test_all_images_may_be_files_of_one_galaxy(tmp_path):
    files = [tmp_path / f"x_{band}.fits" for band in "gr"]
    for file in files:
        file.touch()
    names = list(map(str, files))
    assert options.paths_by_id(names) == {"x_g": (files[0],), "x_r": (files[1],)}
    assert options.paths_by_id(names, one_galaxy=True) == {"x_g": tuple(files)}
    assert options.paths_by_id([str(tmp_path)], one_galaxy=True) == {"x_g": tuple(files)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("explain m --catalog c.ecsv --one-galaxy --out o", "image files with --one-galaxy"),
        ("attack m --catalog c.ecsv --one-galaxy --out o", "image files with --one-galaxy"),
        ("dream m --catalog c.ecsv --one-galaxy --layer a --out o", "image files with --one-galaxy"),
        ("redshift --catalog c.ecsv --one-galaxy --to 1 --out o", "image files with --one-galaxy"),
        ("redshift a.fits --images d --to 1 --out o", "--catalog FILE with --images"),
        (
            "redshift a.fits --id a --image-column b --to 1 --out o",
            "--catalog FILE with --id, --image-column",
        ),
        ("redshift a.fits --catalog c.ecsv --images d --to 1 --out o", "no IMAGE..., with --images"),
        ("view a.fits --save q.png -n 3 --seed 4", "a table with --number, --seed"),
        ("view c.ecsv --one-galaxy --save q.png", "image files with --one-galaxy"),
        ("faithfulness m --yes --out o", "--retrain or --retrained-models N with --yes"),
    ],
)
def test_options_that_would_be_ignored_are_refused(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "o").exists()
