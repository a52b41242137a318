"""Why does a network not learn? Initialisation, a check before training, vanishing gradients, a remedy."""

import numpy as np

from galcnn.dataset import Dataset
from galcnn.diagnostics import GradientHealth, Stack, check_overfitting, stack_summary, stack_table
from galcnn.model import InputSpec, NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.training import TrainingSettings, fit, training_batches
from galcnn.viewers import health_figure, save_figure

# Theory: Glorot initialisation halves the variance in each ReLU layer, He initialisation keeps it.
stacks = [stack_table(Stack(12, 64, "relu", name), seeds=3) for name in ("glorot_normal", "he_normal")]
print(stack_summary(stacks)["initializer", "gradient", "verdict"])

# Data: round and elongated blobs with noise.
rng = np.random.default_rng(1)
y, x = np.mgrid[:16, :16] - 7.5
labels = np.arange(120, dtype=np.int32) % 2
stretch = 1 + 3 * labels[:, None, None]
blobs = 100 * np.exp(-(x**2) / (8 * stretch) - y**2 * stretch / 8)
images = (blobs + rng.normal(0, 5, blobs.shape))[..., None].astype(np.float32)
names = tuple(f"blob{i}" for i in range(120))
data = Dataset(names, images, labels, ("round", "thin"), InputSpec(("r",), "nJy", (16, 16), 0.4))
training, validation = data.select(range(80)), data.select(range(80, 120))


def model(activation: str, initializer: str, normalization: str):
    settings = NetworkSettings(
        widths=(12, 12),
        depth=4,
        stem=0,
        normalization=normalization,
        activation=activation,
        initializer=initializer,
    )
    network = build_network((16, 16, 1), 2, settings=settings)
    return assemble(fit_preprocessing(training.images), network)


how = TrainingSettings(epochs=8, batch_size=16, optimizer="adam", learning_rate=0.003)
print(check_overfitting(lambda: model("relu", "he_normal", "batch"), training, settings=how))

# Eight sigmoid layers give a warning with suggestions; the second network follows them.
batch = next(iter(training_batches(training, how, seed=0).beginning_at(0)))
for words in [("sigmoid", "glorot_normal", "none"), ("relu", "he_normal", "batch")]:
    health = GradientHealth(batch, every=10)
    history = fit(model(*words), training, validation, settings=how, callbacks=[health])
    print(words, "validation loss", np.round(history["val_loss"], 2))
    for sign in health.signs:
        print("  ", sign)
    save_figure(health_figure(health.table(), health.signs), f"health-{words[0]}.png")
