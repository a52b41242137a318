"""galcnn plugins holds a survey to the contract."""

from galcnn.cli.main import main


def test_a_survey_is_checked_by_asking_it(capsys):
    from galcnn.surveys import SimulatedSurvey

    where = SimulatedSurvey(n_galaxies=30).catalog.positions[3]
    words = ["plugins", "--survey", "simulated", "--survey-option", "n_galaxies=30", "--width", "26arcsec"]
    assert main([*words, "--position", f"{where.ra.deg},{where.dec.deg}"]) == 0
    assert "simulated: ok" in capsys.readouterr().out


def test_what_is_wrong_is_said_in_one_line(capsys, monkeypatch):
    from galcnn.surveys import SimulatedSurvey

    monkeypatch.setattr(SimulatedSurvey, "name", "")
    assert main(["plugins", "--survey", "simulated", "--position", "150,2"]) == 2
    assert "SimulatedSurvey fails the checks of a survey: - name is ''" in capsys.readouterr().err
    assert main(["plugins", "--survey", "simulated"]) == 2
    assert "--position RA,DEC" in capsys.readouterr().err
