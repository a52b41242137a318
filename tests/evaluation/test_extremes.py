"""The galaxies to look at: by hand."""

import numpy as np

from galcnn.evaluation import most_confident, most_uncertain, worst_mistakes
from galcnn.prediction import Prediction

P = np.array([[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.34, 0.33, 0.33], [0.05, 0.05, 0.9]])


def answers(extra=()):
    logits = [*np.log(P), *extra]
    return Prediction(tuple(str(i) for i in range(len(logits))), logits, ("x", "y", "z"))


def test_the_surest_of_each_class_come_class_by_class():
    assert most_confident(answers(), 2).tolist() == [1, 0, 2, 4]
    assert most_confident(answers([[np.nan] * 3]), 9).tolist() == [1, 0, 3, 2, 4]


def test_the_worst_mistake_gave_the_true_class_least():
    labels = ["z", "x", "x", "y", "y"]
    assert worst_mistakes(answers(), labels, 9).tolist() == [4, 0, 2, 3]
    assert worst_mistakes(answers(), labels, 1).tolist() == [4]
    assert worst_mistakes(answers(), ["x", "x", "y", "x", "z"], 9).tolist() == []


def test_the_least_certain_has_the_greatest_entropy_and_a_prediction():
    assert most_uncertain(answers([[np.nan] * 3]), 3).tolist() == [3, 0, 2]
