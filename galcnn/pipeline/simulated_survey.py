"""Write a part of the embedded survey to disk: a catalog with truth and a folder of cutouts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, write_table
from galcnn.files import save_cutout
from galcnn.photometry import Observation
from galcnn.simulation import SIMULATED, simulate


@dataclass(frozen=True)
class SurveySettings:
    """What the cutouts of a survey have in common.

    Attributes
    ----------
    seed : int
        Of the noise.
    observation : galcnn.photometry.Observation
        The telescope.
    size : int
        Pixels of a side.
    """

    seed: int = 0
    observation: Observation = SIMULATED
    size: int = 64


def write_survey(
    catalog: Catalog,
    folder: str | os.PathLike[str],
    *,
    settings: SurveySettings,
    processes: int = 1,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Catalog:
    """Draw the galaxies of a catalog and write them.

    A run that was interrupted goes on where it stopped: cutouts that stand are kept, since the
    same seed draws them bit by bit the same.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        From `galcnn.simulation.simulate_catalog`.
    folder : path-like
        Gets ``cutouts/<id>.fits`` and, last, ``catalog.ecsv``.
    settings : SurveySettings
        How the galaxies are drawn.
    processes : int
        How many draw at once.
    progress : galcnn._runtime.progress.Progress
        Shows the galaxies.
    overwrite : bool
        Begin anew, whatever the folder holds.

    Returns
    -------
    galcnn.catalog.Catalog
        With a column `image`, relative to `folder`.

    Raises
    ------
    ValueError
        The folder holds cutouts of other settings.
    """
    out = Path(folder)
    described = repr((settings, [str(row) for row in catalog.table]))
    claim = atomic.claim(
        out,
        described,
        what="one with cutouts of the same seed and settings",
        own=("catalog.ecsv", "cutouts"),
        overwrite=overwrite,
    )
    images = [f"cutouts/{name}.fits" for name in catalog.ids]
    missing = [row for row, image in enumerate(images) if not claim.written(image)]
    with progress("simulate", len(missing)) as step:
        shape = (settings.size, settings.size)
        drawn = (
            simulate(
                catalog.select(missing),
                seed=settings.seed,
                observation=settings.observation,
                shape=shape,
                processes=processes,
            )
            if missing
            else ()
        )
        for row, cutout in zip(missing, drawn, strict=True):
            claim.once(images[row], partial(save_cutout, cutout))
            step()
    written = catalog.with_column("image", images)
    write_table(written.table, out / "catalog.ecsv")
    return written
