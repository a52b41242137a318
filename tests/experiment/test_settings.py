"""One TOML file: every key is known, a misspelt one is named with its neighbour."""

import keras
import pytest

from galcnn.experiment import Experiment, read_settings
from galcnn.experiment.settings import DataSettings
from galcnn.model import NetworkSettings
from galcnn.training import Augmentation, TrainingSettings

TOML = """
seed = 5
[data]
catalog = "labels.csv"
merge = { spiral = ["spiral_cw", "spiral_acw"] }
drop = ["dont_know"]
[network]
widths = [8, 16]
initializer = { class_name = "HeUniform", config = { } }
[training]
epochs = 3
optimizer = { class_name = "SGD", config = { learning_rate = 0.1, momentum = 0.9, nesterov = true } }
[training.augmentation]
rotations = "none"
flip_swaps = { cw = "acw" }
"""


def test_a_file_becomes_an_experiment(tmp_path):
    path = tmp_path / "e.toml"
    path.write_text(TOML)
    found = Experiment.from_dict(read_settings(path))
    assert found.data == DataSettings(
        str(tmp_path / "labels.csv"), merge={"spiral": ("spiral_cw", "spiral_acw")}, drop=("dont_know",)
    )
    assert found.network.widths == (8, 16)
    assert found.training.augmentation == Augmentation(rotations="none", flip_swaps={"cw": "acw"})
    assert found.training.optimizer["config"]["momentum"] == 0.9
    assert found.seed == 5


def test_a_card_repeats_the_experiment():
    mine = Experiment(DataSettings("c.csv"), NetworkSettings(widths=(4,)), TrainingSettings(epochs=2), seed=9)
    assert Experiment.from_dict(mine.to_dict()) == mine
    objects = Experiment(
        DataSettings("c.csv"), training=TrainingSettings(optimizer=keras.optimizers.SGD(0.3, 0.5))
    )
    again = Experiment.from_dict(objects.to_dict()).training.optimizer
    assert (again["class_name"], again["config"]["momentum"]) == ("SGD", 0.5)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"data": {"catalog": "c", "labels": "x"}},
            r"a known key in data.*key='labels'.*Did you mean 'label'\?",
        ),
        ({"data": {"catalog": "c"}, "training": {"epoch": 3}}, r"key='epoch'.*Did you mean 'epochs'\?"),
        ({"data": {"catalog": "c"}, "training": {"augmentation": {"flip": True}}}, "Did you mean 'flips'"),
        (
            {"data": {"catalog": "c"}, "zzz": 1},
            r"key='zzz'.*Known keys: data, network, training, start, devices, seed",
        ),
        ({"data": {}}, "catalog in data"),
        ({}, "data in an experiment"),
        ({"data": 3}, "a section data"),
        ({"data": {"catalog": "c"}, "training": {"epochs": "three"}}, "epochs of kind .*int.* in training"),
        ({"data": {"catalog": "c"}, "training": {"epochs": True}}, "epochs of kind"),
        ({"data": {"catalog": "c"}, "training": {"epochs": 1.5}}, "epochs of kind"),
        ({"data": {"catalog": "c", "bands": "r"}}, "bands of kind"),
        ({"data": {"catalog": "c", "drop": "spiral"}}, "drop of kind"),
        ({"data": {"catalog": "c", "merge": "x"}}, "merge of kind"),
        ({"data": {"catalog": "c", "fractions": [0.5, 0.5]}}, "fractions of kind"),
        ({"data": {"catalog": "c"}, "network": {"normalization": "lrn"}}, "normalization of kind"),
        ({"data": {"catalog": "c"}, "seed": "a"}, "seed of kind"),
        ({"data": {"catalog": "c"}, "seed": -3}, "a seed of 0 or more"),
    ],
)
def test_what_is_wrong_is_said(content, text):
    with pytest.raises(ValueError, match=text):
        Experiment.from_dict(content)


def test_unreadable_files_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="File not found: "):
        Experiment.from_dict(read_settings(tmp_path / "no.toml"))
    (tmp_path / "bad.toml").write_text("[data\n")
    with pytest.raises(ValueError, match=r"a TOML file.*line 1"):
        Experiment.from_dict(read_settings(tmp_path / "bad.toml"))
