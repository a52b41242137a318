"""The record of a training: losses of the weights as they stand, and honest time."""

import numpy as np
import pytest

from galcnn.training.callbacks import LossRecord, _cross_entropy


def test_the_loss_is_minus_the_mean_log_probability(trained, toy_dataset):
    some = toy_dataset.select(np.arange(100, 130))
    logits = trained.model.predict(some.images, verbose=0).astype(float)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(probability[np.arange(30), some.labels]).mean()
    assert _cross_entropy(trained.model, some) == pytest.approx(expected, rel=1e-4)
    twice = toy_dataset.select(np.tile(np.arange(100, 130), 20))  # several chunks, the last of them short
    assert _cross_entropy(trained.model, twice) == pytest.approx(expected, rel=1e-4)


def test_epochs_in_which_functions_were_traced_do_not_count_the_tracing(toy_dataset):
    record = LossRecord(toy_dataset, toy_dataset)
    record.columns["seconds"] = [0.0, 9.0, 1.0, 2.0, 7.0, 3.0]
    record.columns["traced"] = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    assert record.curves()["seconds"] == [0, 2, 3, 5, 7, 10]
    record.columns["seconds"], record.columns["traced"] = [0.0, 9.0], [1.0, 1.0]
    assert record.curves()["seconds"] == [0, 9]
