"""Each check passes on sound data, and finds the fault that is planted for it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from galcnn.cli.main import main
from galcnn.diagnostics import check_overfitting
from galcnn.diagnostics.preflight import (
    check_bands,
    check_duplicates,
    check_loss_at_start,
    check_regularization,
    check_shared,
    check_shuffled_labels,
)
from galcnn.experiment import Experiment, read_data, read_settings
from galcnn.experiment.preflight import check_prepared
from galcnn.training import TrainingSettings
from tests.diagnostics.toys import SHALLOW, model_of, sides

HOW = TrainingSettings(optimizer="adam", learning_rate=0.01)


@pytest.fixture(scope="module")
def parts():
    return sides(160, 80)


def test_the_loss_at_the_start_is_near_ln_k_and_a_wild_start_is_found(parts):
    model = model_of(parts[0], SHALLOW)
    check = check_loss_at_start(model, parts[0])
    assert check.passed
    assert check.expected == "ln 2 = 0.693 +- 0.1"
    assert check.value == pytest.approx(np.log(2), abs=0.02)
    last = model.get_layer("network").get_layer("logits")
    small = np.asarray(last.kernel)
    last.kernel.assign(small * 0)
    assert check_loss_at_start(model, parts[0]).value == pytest.approx(np.log(2), abs=1e-6)
    last.bias.assign([0.08, -0.08])  # equal classes: the loss is ln 2 cosh(0.08), which is within 0.1
    check = check_loss_at_start(model, parts[0])
    assert check.passed
    assert check.value == pytest.approx(np.log(2 * np.cosh(0.08)), abs=1e-4)
    last.bias.assign([0.12, -0.12])  # so is this loss, by the balance of the classes; the logits are not
    check = check_loss_at_start(model, parts[0])
    assert not check.passed
    assert check.value == pytest.approx(np.log(2 * np.cosh(0.12)), abs=1e-4)
    last.bias.assign([0, 0])
    last.kernel.assign(small * 100)  # He's initializer itself
    found = check_loss_at_start(model, parts[0])
    assert not found.passed
    assert "prefers a class" in found.meaning


def test_penalties_raise_the_loss_by_their_formula_and_lost_ones_are_found(parts):
    plain, penalised = model_of(parts[0], SHALLOW), model_of(parts[0], {**SHALLOW, "l2": 0.02})
    check = check_regularization(plain, penalised, parts[0])
    assert check.passed
    kernels = [np.asarray(w) for w in penalised.trainable_weights if w.path.endswith("kernel")]
    assert check.value == pytest.approx(0.01 * sum(np.sum(k**2) for k in kernels), rel=1e-3)
    assert not check_regularization(plain, model_of(parts[0], SHALLOW), parts[0]).passed


@pytest.mark.full
def test_twenty_images_are_learned_by_heart_unless_their_labels_contradict(parts):
    def build():
        return model_of(parts[0], {**SHALLOW, "normalization": "batch"})

    check = check_overfitting(build, parts[0], settings=HOW)
    assert check.passed
    assert check.value == 1
    assert check.name == "20 images memorised"
    alike = parts[0].images.copy()
    alike[:] = alike[0]
    found = check_overfitting(build, replace(parts[0], images=alike), settings=HOW)
    assert not found.passed
    assert found.value == pytest.approx(0.5)


def test_shuffled_labels_teach_nothing_unless_the_validation_set_was_learned(parts):
    training, validation = parts

    def build():
        return model_of(training, {**SHALLOW, "widths": [16, 32], "normalization": "batch"})

    check = check_shuffled_labels(build, training, validation, settings=HOW, n=40)
    assert check.passed
    low, _, high = check.expected.partition(" to ")
    assert float(low) < 0.5 < float(high)
    leaking = training.select(range(40))
    leaking = replace(leaking, ids=tuple(f"other{i}" for i in range(40)))
    found = check_shuffled_labels(build, training, leaking, settings=HOW, n=40)
    assert not found.passed
    assert found.value > 0.8


def test_a_band_that_moves_nothing_is_named(parts):
    model = model_of(parts[0], SHALLOW)
    assert check_bands(model, parts[0]).passed
    kernel = model.get_layer("network").get_layer("conv1_1").kernel
    values = np.asarray(kernel).copy()
    values[:, :, 1] = 0
    kernel.assign(values)
    found = check_bands(model, parts[0])
    assert not found.passed
    assert "band r does not move the answer" in found.meaning


def test_images_of_two_splits_are_found(parts):
    training, validation = parts
    assert check_shared({"train": training, "test": validation}).passed
    assert not check_shared({"train": training, "test": training.select([3])}).passed
    assert check_duplicates({"train": training, "test": validation}).passed
    turned = replace(validation, images=np.rot90(training.images[:80], 1, (1, 2)).copy())
    found = check_duplicates({"train": training, "test": turned})
    assert not found.passed
    assert found.value >= 80


def test_the_command_says_pass_or_fail_and_ends_with_a_code(toy_experiment, tmp_path, capsys):
    path = tmp_path / "checks.json"
    assert main(["preflight", str(toy_experiment), "--out", str(path), "--quiet"]) == 0
    assert "7 of 7 checks passed" in capsys.readouterr().out
    checks = json.loads(path.read_text())
    assert len(checks) == 7
    assert all(check["passed"] and check["meaning"] for check in checks)
    text = toy_experiment.read_text().replace('catalog = "', f'catalog = "{toy_experiment.parent}/')
    broken = tmp_path / "broken.toml"
    broken.write_text(
        text.replace("batch_size = 16", 'batch_size = 16\noptimizer = "sgd"\nlearning_rate = 1e-9')
    )
    assert main(["preflight", str(broken), "--quiet"]) == 4
    assert "FAIL  20 images memorised" in capsys.readouterr().out


def test_a_leak_between_the_splits_of_an_experiment_is_found(toy_experiment):
    prepared = read_data(Experiment.from_dict(read_settings(toy_experiment)))
    leaking = {**prepared.sides, "validation": prepared.sides["train"].select(range(30))}
    failed = {check.name for check in check_prepared(replace(prepared, sides=leaking)) if not check.passed}
    assert failed >= {"overlap of splits", "near duplicates", "shuffled labels"}
