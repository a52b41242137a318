"""Train and score a network on ./sky (see 01_simulate.py), with direct access to the Keras objects."""

import numpy as np
from astropy.table import Table

from galcnn import Prediction, TrainedModel, evaluate, read_catalog, save_model
from galcnn.catalog import write_table
from galcnn.dataset import read_dataset, split_catalog
from galcnn.model import Card, NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.prediction import predict_images
from galcnn.training import TrainingSettings, class_frequency, fit, trained_prior

catalog = split_catalog(read_catalog("sky/catalog.ecsv"), seed=1)
data = read_dataset(catalog)
training, validation, test = (
    data.select(np.asarray(catalog.table["split"]) == side) for side in ("train", "validation", "test")
)

settings = NetworkSettings(widths=(16, 32, 64), depth=1, stem=0)
network = build_network(data.inputs.image_shape, len(data.classes), settings=settings, seed=1)
model = assemble(fit_preprocessing(training.images), network)  # a keras.Model: compile and fit it as you like
how = TrainingSettings(epochs=20, batch_size=16)  # small batches for a small training set
history = fit(model, training, validation, settings=how, seed=1)
print("validation loss by epoch:", np.round(history["val_loss"], 2))

prediction = Prediction(test.ids, predict_images(model, test.images), data.classes)
labels = [data.classes[i] for i in test.labels]
scores = evaluate(prediction, labels)
print("test accuracy", scores["accuracy"], "balanced", scores["balanced_accuracy"])

card = Card(
    classes=data.classes,
    inputs=data.inputs,
    class_prior=class_frequency(training),
    trained_prior=trained_prior(training, how.balance),
)
curves = Table({"epoch": np.arange(1, 1 + len(history["loss"])), **history})
answers = prediction.to_table()
answers.add_column(labels, name="true_class", index=1)
# Files that galcnn train writes into the model folder, for galcnn report.
beside = {
    "history.csv": lambda path: write_table(curves, path),
    "test.ecsv": lambda path: write_table(answers, path),
}
save_model(TrainedModel(model, card), "model", extra=beside)
print("wrote model/")
