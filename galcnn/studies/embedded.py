"""Write a part of the embedded survey to disk: a catalog with truth and a folder of cutouts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from galcnn import atomic
from galcnn.catalog import Catalog, write_table
from galcnn.errors import message
from galcnn.files import save_cutout
from galcnn.observing import SDSS, Observation
from galcnn.progress import Progress, silent
from galcnn.simulation import SIMULATED, simulate

__all__ = ["TELESCOPES", "SurveySettings", "write_survey"]

#: Observations by the name that users type.
TELESCOPES = {"simulated": SIMULATED, "sdss": SDSS}


@dataclass(frozen=True)
class SurveySettings:
    """What the cutouts of a survey have in common.

    Attributes
    ----------
    seed : int
        Of the noise.
    observation : galcnn.observing.Observation
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
    progress : galcnn.progress.Progress
        Shows the galaxies.

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
    mark = _mark(out, repr((settings, [str(row) for row in catalog.table])))
    images = [f"cutouts/{name}.fits" for name in catalog.ids]
    missing = [row for row, image in enumerate(images) if not (out / image).exists()]
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
            mark()
            save_cutout(cutout, out / images[row])
            step()
    written = catalog.with_column("image", images)
    write_table(written.table, out / "catalog.ecsv")
    return written


def _mark(folder: Path, described: str) -> Callable[[], None]:
    """Refuse a folder of other settings or of somebody else; give what marks it as ours.

    The mark comes with the first cutout, so that settings that cannot be drawn claim nothing.
    """
    file, digest = folder / "cutouts" / ".settings", hashlib.sha256(described.encode()).hexdigest()
    if file.exists():
        if file.read_text(encoding="utf-8") != digest:
            raise ValueError(
                message(
                    "a new folder, or one with cutouts of the same seed and settings",
                    "Choose another folder or remove it.",
                    folder=str(folder),
                )
            )
        return lambda: None
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(message("a new or empty folder", "Choose another one.", folder=str(folder)))
    return lambda: None if file.exists() else atomic.write_text(file, digest)
