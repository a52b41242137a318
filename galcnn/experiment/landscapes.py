"""Loss landscape of a trained model: computation from its catalog, figure and files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.dataset import Dataset
from galcnn.diagnostics import Grid, Objective, random_slice, slice_between, trajectory_slice, write_surface
from galcnn.diagnostics.landscape import Statistics
from galcnn.diagnostics.surface import Surface
from galcnn.errors import message
from galcnn.experiment.data import data_of
from galcnn.model import TrainedModel, load_model
from galcnn.training import read_snapshots
from galcnn.viewers import landscape_figure, save_figure

_CHUNK = 256


@dataclass(frozen=True)
class LandscapeSettings:
    """Settings of a loss landscape.

    Attributes
    ----------
    grid : galcnn.diagnostics.Grid
        Points, reach and dimensions. With `snapshots` or `other` only the number of points is used.
    snapshots : str or None
        Folder of the snapshots of the training, for the plane of their principal components.
    other : str or None
        Folder of another model, for the line between both. If neither is given, directions are random.
    galaxies : int
        Maximum number of galaxies, drawn from the training set.
    statistics : {"recompute", "stored"}
        Statistics of batch normalisation, see `galcnn.diagnostics.Objective`.
    seed : int
        Seed of the directions and of the draw of galaxies.
    """

    grid: Grid = field(default_factory=Grid)
    snapshots: str | None = None
    other: str | None = None
    galaxies: int = 512
    statistics: Statistics = "recompute"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.snapshots is not None and self.other is not None:
            raise ValueError(
                message("snapshots, or another model", "", snapshots=self.snapshots, other=self.other)
            )
        idle = {
            name: getattr(self.grid, name)
            for name in ("reach", "dimensions")
            if getattr(self.grid, name) != getattr(Grid(), name)
        }
        if idle and (self.snapshots or self.other):
            raise ValueError(
                message("reach and a line for random directions only", "Leave them out.", **idle)
            )
        if self.galaxies < 1:
            raise ValueError(message("at least one galaxy", "", galaxies=self.galaxies))


def make_landscape(
    trained: TrainedModel,
    out: str | os.PathLike[str],
    *,
    catalog: str | None = None,
    settings: LandscapeSettings | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Surface:
    """Compute a slice of the loss landscape of a model on its training set; write and plot it."""
    settings = settings or LandscapeSettings()
    folder = Path(out)
    written = ("rows.npz", "surface.*", "landscape.png")
    claim = atomic.claim(folder, what="one of galcnn landscape", own=written, overwrite=overwrite)
    objective = objective_of(trained, catalog=catalog, settings=settings, progress=progress)
    claim.mark()
    points, kept = settings.grid.points, folder / "rows.npz"
    if settings.snapshots is not None:
        snapshots = {s.epoch: s.weights for s in read_snapshots(settings.snapshots)}
        places = {id(weight): place for place, weight in enumerate(trained.model.weights)}
        own = [places[id(weight)] for weight in trained.network.weights]
        if any(len(weights) != len(places) for weights in snapshots.values()):
            raise ValueError(message("snapshots of this model's training", "", folder=settings.snapshots))
        chosen = {epoch: [weights[place] for place in own] for epoch, weights in snapshots.items()}
        surface = trajectory_slice(objective, chosen, points=points, kept=kept, progress=progress)
    elif settings.other is not None:
        other = load_model(settings.other)
        if other.classes != trained.classes:
            raise ValueError(message(f"a model of {trained.classes}", "", classes=other.classes))
        surface = slice_between(objective, other.network, points=points, kept=kept, progress=progress)
    else:
        surface = random_slice(
            objective, grid=settings.grid, seed=settings.seed, kept=kept, progress=progress
        )
    told = {"model": trained.card.name, "model_sha256": trained.card.model_sha256}
    surface = replace(surface, facts={**surface.facts, **{k: v for k, v in told.items() if v}})
    write_surface(surface, folder / "surface.fits")
    write_surface(surface, folder / "surface.npz")
    save_figure(landscape_figure({trained.card.name or "model": surface}), folder / "landscape.png")
    return surface


def objective_of(
    trained: TrainedModel,
    *,
    catalog: str | None = None,
    settings: LandscapeSettings | None = None,
    progress: Progress = silent,
) -> Objective:
    """Return the loss of a model on galaxies of its training set, as a function of its weights.

    It is the loss of the training: orientations that are averaged in prediction only are not averaged.
    """
    settings = settings or LandscapeSettings()
    prepared = data_of(trained.card, catalog, progress=progress)
    training = _drawn(prepared.sides["train"], settings)
    trained = trained.with_orientations(prepared.network_settings().orientations or 1)
    chunks = range(0, len(training), _CHUNK)
    seen = [
        np.asarray(trained.preprocessing(training.images[k : k + _CHUNK], training=False)) for k in chunks
    ]
    return Objective(trained.network, np.concatenate(seen), training.labels, statistics=settings.statistics)


def _drawn(training: Dataset, settings: LandscapeSettings) -> Dataset:
    if settings.galaxies >= len(training):
        return training
    dice = [seeding.uniform(settings.seed, "landscape", name) for name in training.ids]
    return training.select(np.sort(np.argsort(dice, kind="stable")[: settings.galaxies]))
