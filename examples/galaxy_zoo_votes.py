"""Vote fractions of Galaxy Zoo 2 from pictures: a small network, scored against predicting the mean.

python examples/galaxy_zoo_votes.py labels.csv --epochs 12
"""

import argparse
import time

import keras
import numpy as np

from galcnn import read_catalog
from galcnn.catalog import vote_fractions
from galcnn.dataset import CutoutReader
from galcnn.inputs import images_from
from galcnn.model import NetworkSettings, assemble, build_network
from galcnn.preprocessing import fit_preprocessing
from galcnn.seeding import uniform
from galcnn.training.votes import (
    Question,
    cumulative_fractions,
    question_scores,
    vote_cross_entropy,
    vote_targets,
)

QUESTIONS = (
    Question("smooth or disk", ("Class1.1", "Class1.2", "Class1.3")),
    Question("edge-on", ("Class2.1", "Class2.2"), parent="Class1.2"),
    Question("how round", ("Class7.1", "Class7.2", "Class7.3"), parent="Class1.1"),
    Question("anything odd", ("Class6.1", "Class6.2")),
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("labels")
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

catalog = read_catalog(arguments.labels, columns={"image": "file", "id": "GalaxyID"})
reader = CutoutReader(catalog, size=arguments.size)
images = np.concatenate([images_from([reader.read(row)]) for row in range(len(reader))])
answers = [answer for question in QUESTIONS for answer in question.answers]
votes = np.stack([np.asarray(catalog.table[name], dtype=float) for name in answers], axis=1)
for question in QUESTIONS:  # refuses what is no vote fraction
    vote_fractions(catalog, question.answers, parent=question.parent)

draw = np.array([uniform(arguments.seed, "split", name) for name in catalog.ids])
training, validation, test = draw < 0.7, (draw >= 0.7) & (draw < 0.8), draw >= 0.8
targets = vote_targets(votes, QUESTIONS)
model = assemble(
    fit_preprocessing(images[training], stretch="auto", per="set"),
    build_network(images.shape[1:], len(answers), settings=NetworkSettings(field=2 / 3), seed=arguments.seed),
)
model.compile(keras.optimizers.AdamW(2e-3), loss=vote_cross_entropy(QUESTIONS))
stop = keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)
start = time.perf_counter()
keras.utils.set_random_seed(arguments.seed)
rng = np.random.default_rng(arguments.seed)
rows = np.flatnonzero(training)


class Turned(keras.utils.PyDataset):
    """Batches of training images in random orientations."""

    def __len__(self):
        return len(rows) // 64

    def on_epoch_end(self):
        rng.shuffle(rows)

    def __getitem__(self, number):
        chosen = rows[number * 64 : (number + 1) * 64]
        k, flip = rng.integers(4), rng.integers(2)
        batch = np.rot90(images[chosen], k, axes=(1, 2))
        return np.ascontiguousarray(batch[:, ::-1] if flip else batch), targets[chosen]


model.fit(
    Turned(),
    epochs=arguments.epochs,
    validation_data=(images[validation], targets[validation]),
    callbacks=[stop],
    verbose=0,
)
print(f"trained in {time.perf_counter() - start:.0f} s on {training.sum()} galaxies, {test.sum()} test")
predicted = cumulative_fractions(model.predict(images[test], verbose=0), QUESTIONS)
scores = question_scores(predicted, votes[test], QUESTIONS, baseline=votes[training].mean(axis=0))
for score in scores:
    print(
        f"  {score['question']:<16} r = {score['correlation']:.2f}, RMSE {score['rmse']:.3f}, "
        f"of the mean {score['rmse_of_mean']:.3f}"
    )
