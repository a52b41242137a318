"""Write galaxies of the simulated survey to disk: a catalog with the truth, and cutouts."""

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
    """Settings of the cutouts of a simulated survey.

    Attributes
    ----------
    seed : int
        Seed of the noise and the sub-pixel offsets.
    observation : galcnn.photometry.Observation
        Simulated observation: bands, pixel scale, PSF and depth.
    size : int
        Side length of the cutouts in pixels.
    """

    seed: int = 0
    observation: Observation = SIMULATED
    size: int = 64


def write_survey(
    catalog: Catalog,
    folder: str | os.PathLike[str],
    *,
    settings: SurveySettings,
    jobs: int = 1,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Catalog:
    """Simulate the galaxies of a catalog and write their cutouts.

    An interrupted run is continued. Existing cutouts are kept, because the same seed gives identical
    images.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Catalog from `galcnn.simulation.simulate_catalog`.
    folder : path-like
        Output folder for ``cutouts/<id>.fits`` and, written last, ``catalog.ecsv``.
    settings : SurveySettings
        Seed, observation and size of the cutouts.
    jobs : int
        Number of processes that simulate galaxies.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per galaxy.
    overwrite : bool
        If True, discard earlier results in the folder and start again.

    Returns
    -------
    galcnn.catalog.Catalog
        The catalog with a column `image`: paths relative to `folder`.

    Raises
    ------
    ValueError
        If the folder holds cutouts with other settings.
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
    with progress("simulate", len(images), done=len(images) - len(missing)) as step:
        shape = (settings.size, settings.size)
        drawn = (
            simulate(
                catalog.select(missing),
                seed=settings.seed,
                observation=settings.observation,
                shape=shape,
                jobs=jobs,
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
