"""Baseline: a plain Keras network at 64 pixels with flips and rotations, on galcnn's split.

python examples/galaxy_zoo_yardstick.py labels.csv --seed 1
"""

import argparse
import time

import keras
import numpy as np
from keras import layers

from galcnn import Prediction, evaluate, read_catalog
from galcnn.catalog import relabel
from galcnn.dataset import read_dataset, split_catalog

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("labels")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

columns = {"image": "file", "class": "class_name", "id": "objid"}
merge = {"spiral": ["spiral_cw", "spiral_acw"]}
catalog = relabel(read_catalog(arguments.labels, columns=columns), merge=merge, drop=["dont_know"])
catalog = split_catalog(catalog, seed=arguments.seed)
data = read_dataset(catalog, size=64)
training, validation, test = (
    data.select(np.asarray(catalog.table["split"]) == side) for side in ("train", "validation", "test")
)

keras.utils.set_random_seed(arguments.seed)
model = keras.Sequential([keras.Input((64, 64, 3)), layers.Rescaling(1 / 255)])
model.add(layers.RandomFlip())
model.add(layers.RandomRotation(0.5))
for width in (32, 64, 128):
    model.add(layers.Conv2D(width, 3, activation="relu"))
    model.add(layers.MaxPooling2D())
for layer in (layers.Flatten(), layers.Dropout(0.3), layers.Dense(64, activation="relu"), layers.Dense(4)):
    model.add(layer)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
stop = keras.callbacks.EarlyStopping("val_loss", patience=8, restore_best_weights=True)
start = time.perf_counter()
model.fit(
    training.images,
    training.labels,
    batch_size=32,
    epochs=50,
    validation_data=(validation.images, validation.labels),
    callbacks=[stop],
    verbose=0,
)
print(f"trained in {time.perf_counter() - start:.0f} s")
prediction = Prediction(test.ids, model.predict(test.images, verbose=0), test.classes)
for name, score in evaluate(prediction, [test.classes[i] for i in test.labels]).items():
    print(f"  {name:<28} {score}  n={score.n}")
