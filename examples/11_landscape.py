"""Loss landscape of a network trained on ./sky (see 01_simulate.py): random plane, training path, line."""

import numpy as np

from galcnn import read_catalog
from galcnn.dataset import read_dataset, split_catalog
from galcnn.diagnostics import Grid, Objective, random_slice, slice_between, trajectory_slice, write_surface
from galcnn.model import NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.training import Snapshots, TrainingSettings, fit, read_snapshots
from galcnn.viewers import landscape_figure, save_figure

catalog = split_catalog(read_catalog("sky/catalog.ecsv"), seed=1)
data = read_dataset(catalog)
training, validation = (
    data.select(np.asarray(catalog.table["split"]) == side) for side in ("train", "validation")
)
preprocessing = fit_preprocessing(training.images)
settings = NetworkSettings(widths=(8, 16), depth=1, stem=8, dropout=0.0)
networks = []
for seed in (1, 2):
    network = build_network(data.inputs.image_shape, len(data.classes), settings=settings, seed=seed)
    fit(
        assemble(preprocessing, network),
        training,
        validation,
        settings=TrainingSettings(epochs=8, batch_size=16),
        seed=seed,
        callbacks=[Snapshots(f"snapshots{seed}")],
    )
    networks.append(network)

# The loss as a function of the weights of a copy; the network itself is not changed.
loss = Objective(networks[0], np.asarray(preprocessing(training.images)), training.labels)
around = random_slice(loss, grid=Grid(points=9), seed=1)
# A snapshot has the weights of the whole model, starting with those of the preprocessing.
own = len(networks[0].weights)
way = trajectory_slice(loss, {s.epoch: s.weights[-own:] for s in read_snapshots("snapshots1")}, points=9)
line = slice_between(loss, networks[1], points=11)

print(
    f"around the solution: roughness {around.roughness:.3f} (0 is convex), variation {around.variation:.2f}"
)
print(f"its training: {way.facts['explained_1'] + way.facts['explained_2']:.0%} of its way lies in a plane")
print(f"to the other solution: a barrier of {line.barrier:.2f} nat")
write_surface(around, "surface.fits")
save_figure(landscape_figure({"around the solution": around, "along its training": way}), "landscape.png")
save_figure(landscape_figure({"to another solution": line}), "line.png")
