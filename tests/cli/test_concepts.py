"""galcnn concepts: simulated ones, and those of two folders."""

import pytest
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.files import save_cutout
from galcnn.model import save_model
from tests.adversarial.test_perturbation import some_cutouts


def test_concepts_from_the_simulator_and_from_folders(trained, tmp_path, capsys):
    save_model(trained, tmp_path / "model")
    for folder, start in (("round", 0), ("thin", 10)):
        (tmp_path / folder).mkdir()
        for i, cutout in enumerate(some_cutouts(20)[start : start + 10]):
            save_cutout(cutout, tmp_path / folder / f"g{i}.fits")
    table = Table({"id": [f"g{i}" for i in range(10)]})
    table["image"] = [str(tmp_path / "round" / f"g{i}.fits") for i in range(10)]
    table.write(tmp_path / "catalog.ecsv")
    words = ["concepts", str(tmp_path / "model"), "--catalog", str(tmp_path / "catalog.ecsv"), "--quiet"]
    words += ["--target", "thin"]
    own = f"{tmp_path / 'round'}:{tmp_path / 'thin'}"
    assert main([*words, "--concept", own, "--concept", "bar"]) == 0
    said = capsys.readouterr().out
    assert "target: thin" in said
    rows = [line.split() for line in said.splitlines() if line.split()[0] in (own, "bar")]
    assert len(rows) == 2
    for _, score, _, accuracy, p, corrected in rows:
        assert 0 <= float(score) <= 1
        assert 0 <= float(accuracy) <= 1
        assert float(corrected) == pytest.approx(min(1, 2 * float(p)), rel=2e-3)
    assert main([*words, "--concept", "ring"]) != 0
    assert "arms, bar, dust, neighbour, tail" in capsys.readouterr().err
