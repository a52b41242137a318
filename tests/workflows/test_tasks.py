"""A catalog split into tasks gives the table of a single run, whoever does them and in whatever order."""

import subprocess
import sys
from pathlib import Path

import pytest

from galcnn.cli.main import main
from galcnn.dataset import SourceSettings
from galcnn.pipeline import Work, run_one, run_tasks
from galcnn.pipeline.tasks import split_rows
from tests.workflows.conftest import N, run_words, same_rows, table_of


@pytest.mark.parametrize(
    ("n", "chunk", "tasks"), [(10, 2, 3), (10, 3, 4), (1, 5, 7), (4097, 512, None), (5, 5, 1)]
)
def test_tasks_cover_each_row_once_in_whole_chunks(n, chunk, tasks):
    parts = split_rows(n, chunk, tasks)
    assert [row for part in parts for row in part] == list(range(n))
    assert all(part.start % chunk == 0 for part in parts)
    assert all(len(part) > 0 for part in parts)


def test_tasks_in_any_order_give_the_table_of_one_run(work, catalog, whole, tmp_path):
    def backwards(tasks):
        for task in reversed(list(tasks)):
            task.do()
            yield task

    manifest = run_tasks(work, catalog, tmp_path / "run", tasks=5, engine=backwards)
    same_rows(table_of(tmp_path / "run"), whole)
    assert {name: manifest[name] for name in ("rows", "failed", "tasks")} == {
        "rows": N,
        "failed": 2,
        "tasks": 5,
    }
    assert sorted(file.name for file in (tmp_path / "run").iterdir() if file.suffix != ".lock") == [
        ".galcnn",
        "manifest.json",
        "table.parquet",
    ]

    def never(tasks):
        raise AssertionError("nothing is to do")

    assert run_tasks(work, catalog, tmp_path / "run", tasks=5, engine=never) == manifest
    with pytest.raises(ValueError, match="the same run"):
        run_tasks(work, catalog, tmp_path / "run", tasks=4)


def test_tasks_of_an_array_are_joined_and_what_is_missing_is_done(work, catalog, whole, tmp_path):
    for number in (3, 1):  # task 2 was killed before it began
        assert run_one(work, catalog, tmp_path / "run", number=number, tasks=3)["rows"] > 0
    run_tasks(work, catalog, tmp_path / "run", tasks=3)
    same_rows(table_of(tmp_path / "run"), whole)
    assert run_one(work, catalog, tmp_path / "run", number=2, tasks=3)["rows"] > 0  # again, too late
    run_tasks(work, catalog, tmp_path / "run", tasks=3)
    assert not (tmp_path / "run" / "tasks").exists()
    same_rows(table_of(tmp_path / "run"), whole)
    with pytest.raises(ValueError, match="task from 1 to 3"):
        run_one(work, catalog, tmp_path / "run", number=4, tasks=3)


def test_other_work_in_the_same_folder_is_refused(work, catalog, tmp_path):
    run_one(work, catalog, tmp_path / "run", number=1, tasks=3)
    other = Work(work.models, SourceSettings(work.source.images, bands=("r", "g")), work.classify, work.chunk)
    with pytest.raises(ValueError, match="the same run"):
        run_tasks(other, catalog, tmp_path / "run", tasks=3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(ValueError, match=r"thesis\.txt"):
        run_tasks(work, catalog, tmp_path / "other")


def test_a_table_in_memory(work, catalog, whole):
    rows = [4, 5, 6, 7]
    same_rows(
        work.answer(catalog.select(rows)).replace_schema_metadata(),
        whole.take(rows).replace_schema_metadata(),
    )


def test_words_are_checked_before_anything_is_sent(sky):
    with pytest.raises(FileNotFoundError, match="Model folder not found"):
        Work((str(sky / "nowhere"),))
    with pytest.raises(ValueError, match="one source of cutouts"):
        SourceSettings("cutouts", survey="sdss", width="40 arcsec")
    with pytest.raises(ValueError, match="a width"):
        SourceSettings(survey="sdss")


def test_a_client_imports_no_keras():
    code = "import sys, galcnn.pipeline.tasks, galcnn.workflows.dask; print('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_the_command_does_one_task_and_then_the_rest(sky, whole, tmp_path, capsys):
    words = [*run_words(sky, tmp_path / "run"), "--tasks", "3"]
    assert main([*words, "--task", "2"]) == 0
    assert "task 2 of 3: 32 rows" in capsys.readouterr().out
    assert main(words) == 0
    same_rows(table_of(tmp_path / "run"), whole)
    assert main([*words, "--task", "4"]) == 2
    assert "K at most N" in capsys.readouterr().err


def test_the_words_of_a_configuration(sky):
    words = {
        "model": str(sky / "model"),
        "mosaic": "g.fits, r.fits",
        "width": "64 pix",
        "bands": "",
        "chunk": 9,
    }
    work = Work.from_words(words)
    assert work.source.mosaic == tuple(str(Path(name).resolve()) for name in ("g.fits", "r.fits"))
    assert (work.source.bands, work.chunk, work.classify.prior) == (None, 9, "catalog")
    words = {"model": str(sky / "model"), "hdu": "SCI,2", "zero_points": "g=25.3,r=26"}
    source = Work.from_words(words).source
    assert (source.hdu, source.zero_points) == (["SCI", 2], {"g": 25.3, "r": 26.0})
    words = {"model": str(sky / "model"), "survey": "mast", "width": "64 pix"}
    source = Work.from_words(words | {"survey_options": "filters=F814W"}).source
    assert (source.zero_points, source.survey_options) == (None, {"filters": "F814W"})
    assert Work.from_words({"model": str(sky / "model"), "zero_points": "25.3"}).source.zero_points == 25.3
    with pytest.raises(ValueError, match="word='modle'"):
        Work.from_words({"model": str(sky / "model"), "modle": "x"})
    with pytest.raises(ValueError, match="a model"):
        Work.from_words({"model": ""})
