"""Signs in made-up records: each where it was planted, with the figure, and nothing else."""

import numpy as np
import pytest
from astropy.table import Table

from galcnn.diagnostics import diagnose
from galcnn.diagnostics.gradients import HealthLimits, remedy_text

LAYERS = ("network/a", "network/b", "network/c", "network/logits")


def record(looks=(0, 1, 50, 200, 250), **facts):
    """Healthy: three layers of which nothing much happens to any."""
    rows = [
        {
            "update": update, "epoch": 1, "layer": layer, "loss": 0.7, "learning_rate": 0.01,
            "weight_norm": 4.0, "gradient_norm": 0.1, "update_ratio": np.nan if update == 0 else 0.003,
            "dead": 0.1, "signal": 1.0, "nonfinite": 0.0, "activation": "relu", "initializer": "HeNormal",
            "normalized": 0,
        }
        | facts
        for update in looks
        for layer in LAYERS
    ]  # fmt: skip
    return Table(rows)


def planted(column, update, layer, value, **facts):
    table = record(**facts)
    table[column][(table["update"] >= update) & (table["layer"] == layer)] = value
    return table


def test_a_healthy_record_has_no_sign_and_an_empty_one_neither():
    assert diagnose(record()) == []
    assert diagnose(Table()) == []


@pytest.mark.parametrize(
    ("column", "value", "kind", "figure"),
    [
        ("gradient_norm", 1e-6, "vanishing", 1e-5),
        ("gradient_norm", 1e4, "exploding", 1e5),
        ("signal", 1e-5, "vanishing", 1e-5),
        ("signal", 1e5, "exploding", 1e5),
        ("weight_norm", 0.04, "vanishing", 0.01),
        ("weight_norm", 400.0, "exploding", 100.0),
        ("update_ratio", 0.8, "exploding", 0.8),
        ("dead", 1.0, "dead", 1.0),
        ("nonfinite", 3.0, "exploding", 3.0),
    ],
)
def test_what_is_planted_at_a_layer_and_an_update_is_found_there(column, value, kind, figure):
    sign = diagnose(planted(column, 50, "network/b", value))[0]
    assert (sign.kind, sign.layer, sign.update) == (kind, "network/b", 50)
    assert sign.value == pytest.approx(figure)
    assert sign.remedies
    assert f"{kind} at layer network/b, update 50: " in str(sign)


def test_a_loss_that_rises_like_an_avalanche_is_found():
    table = record()
    table["loss"][table["update"] >= 200] = 7.5
    (sign,) = diagnose(table)
    assert (sign.kind, sign.update, sign.value, sign.symptom) == ("exploding", 200, 7.5, "loss")
    assert sign.limit == pytest.approx(7.0)


def test_answers_that_are_all_alike_are_stagnation_after_the_patience():
    table = planted("signal", 50, "network/logits", 0.005)
    (sign,) = diagnose(table)
    assert (sign.kind, sign.layer, sign.update) == ("stagnation", "network/logits", 200)
    assert diagnose(table, HealthLimits(patience=400)) == []


def test_small_updates_are_stagnation_unless_the_schedule_ends():
    table = record()
    table["update_ratio"][table["update"] >= 50] = 1e-9
    assert [(sign.kind, sign.update) for sign in diagnose(table)] == [("stagnation", 200)]
    table["learning_rate"][table["update"] >= 50] = 1e-5
    assert diagnose(table) == []


def test_remedies_fit_the_network():
    """The wrong initializer first; normalisation where there is none; the highest rate so far, by ten."""
    sign = diagnose(planted("signal", 0, "network/b", 1e-5, initializer="GlorotUniform"))[0]
    assert sign.remedies == ({"network.initializer": "he_normal"}, {"network.normalization": "batch"})
    sign = diagnose(planted("signal", 0, "network/b", 1e-5, normalized=1))[0]
    assert sign.remedies == ({"network.residual": True},)
    sign = diagnose(planted("signal", 0, "network/b", 1e-5, activation="tanh"))[0]
    assert sign.remedies[0] == {"network.initializer": "glorot_normal"}
    table = planted("update_ratio", 200, "network/b", 0.8)
    table["learning_rate"][table["update"] == 200] = 0.001
    assert diagnose(table)[0].remedies[0] == {"training.learning_rate": 0.001}, "a tenth of the peak, 0.01"
    assert remedy_text({"training.global_clipnorm": 1.0}) == "[training] global_clipnorm = 1.0"
    assert remedy_text({"network.residual": True}) == "[network] residual = true"
