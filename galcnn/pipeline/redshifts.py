"""Image files -> the same galaxies further away, with a catalog to test a network on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, write_table
from galcnn.catalog.names import file_stems
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.files import save_cutout
from galcnn.photometry import Observation
from galcnn.redshifting import Redshifting, redshift
from galcnn.redshifting.noise import digest
from galcnn.simulation import psf_planes


@dataclass(frozen=True)
class Receding:
    """Where the galaxies go to, and how they are seen there.

    Attributes
    ----------
    redshifts : tuple of float
        Each galaxy is written once for each.
    observation : galcnn.photometry.Observation or None
        See `galcnn.redshifting.redshift`.
    shape : tuple of int or None
        Pixels (ny, nx); as many as the field fills where None.
    settings : galcnn.redshifting.Redshifting
        The choices.
    seed : int
        Of noise and sky.
    psf_fwhm : float or None
        Arcsec, of the Moffat PSF (index 3.5) of files that bring none.
    """

    redshifts: tuple[float, ...]
    observation: Observation | None = None
    shape: tuple[int, int] | None = None
    settings: Redshifting = field(default_factory=Redshifting)
    seed: int = 0
    psf_fwhm: float | None = None

    def __post_init__(self) -> None:
        if not self.redshifts or not all(np.isfinite(z) and z > 0 for z in self.redshifts):
            raise ValueError(message("redshifts above 0", "", redshifts=self.redshifts))


@dataclass(frozen=True)
class Refusal:
    """A galaxy that could not be put further away.

    Attributes
    ----------
    id : str
        Of the input.
    redshift : float
        That was asked for.
    reason : str
        Why not.
    """

    id: str
    redshift: float
    reason: str


def redshift_files(
    files: InputFiles,
    known: Mapping[str, Mapping[str, Any]],
    *,
    out: str | os.PathLike[str],
    receding: Receding,
    progress: Progress = silent,
    overwrite: bool = False,
) -> tuple[Catalog, list[Refusal]]:
    """Put the galaxies of image files further away, and write them with a catalog.

    Parameters
    ----------
    files : galcnn.dataset.InputFiles
        The images.
    known : mapping of str to mapping
        For each id, columns that the new catalog carries along; ``redshift`` is used where the
        file has none.
    out : path-like
        Gets ``cutouts/``, ``catalog.ecsv`` and, where any galaxy was refused, ``refused.ecsv``. A
        run that was stopped goes on where it stopped.
    receding : Receding
        Where to.
    progress : galcnn._runtime.progress.Progress
        Shows the galaxies.
    overwrite : bool
        Begin anew, whatever the folder holds.

    Returns
    -------
    catalog : galcnn.catalog.Catalog
        One row for each galaxy and redshift: ``id``, ``object`` (the input's id), ``redshift``,
        ``redshift_from``, ``image``, and the known columns.
    refusals : list of Refusal
        What could not be done, and why; nothing is left out in silence.

    Raises
    ------
    ValueError
        The folder holds something else, or nothing could be done at all.
    """
    folder = Path(out)
    described = repr((receding, files.bands, files.width))
    claim = atomic.claim(
        folder,
        described,
        what="one with the same redshifts and settings",
        own=("catalog.ecsv", "refused.ecsv", "cutouts"),
        inputs=files.paths.values(),
        overwrite=overwrite,
    )
    stems = file_stems(files.paths)
    rows, refusals = [], []
    with progress("redshift", len(files.paths)) as step:
        for name in files.paths:
            for made in _further_away(files, name, dict(known.get(name, {})), receding):
                if isinstance(made, Refusal):
                    refusals.append(made)
                    continue
                row, far = made
                # Another file of the same name makes other images: its pixels are part of the name.
                image = f"cutouts/{stems[name]}-{row.pop('pixels')}-z{row['redshift']:g}.fits"
                claim.once(image, partial(save_cutout, far))
                rows.append(row | {"image": image})
            step()
    if not rows:
        raise ValueError(
            message("a galaxy that can be put further away", refusals[0].reason, n=len(refusals))
        )
    catalog = Catalog(_table(rows))
    write_table(catalog.table, folder / "catalog.ecsv")
    if refusals:
        table = QTable(
            {name: [getattr(one, name) for one in refusals] for name in ("id", "redshift", "reason")}
        )
        write_table(table, folder / "refused.ecsv")
    return catalog, refusals


def _further_away(
    files: InputFiles, name: str, facts: dict[str, Any], receding: Receding
) -> Iterator[tuple[dict[str, Any], Cutout] | Refusal]:
    try:
        near = _known(files.load(name), facts.pop("redshift", None), receding)
    except (OSError, ValueError) as error:
        yield from (Refusal(name, z, str(error)) for z in receding.redshifts)
        return
    own = {"object": name, "redshift_from": near.redshift, "pixels": digest(near)[:12], **facts}
    for z in receding.redshifts:
        try:
            far = redshift(
                near,
                z,
                observation=receding.observation,
                shape=receding.shape,
                settings=receding.settings,
                seed=receding.seed,
            )
        except ValueError as error:
            yield Refusal(name, z, str(error))
        else:
            yield {"id": f"{name} z={z:g}", "redshift": z, **own}, far


def _known(cutout: Cutout, redshift_known: float | None, receding: Receding) -> Cutout:
    if cutout.redshift is None and redshift_known is not None and np.isfinite(redshift_known):
        cutout = replace(cutout, redshift=float(redshift_known))
    if cutout.psf is None and receding.psf_fwhm is not None and cutout.pixel_scale is not None:
        n = len(cutout.bands)
        own = Observation(
            "input", cutout.bands, cutout.pixel_scale, (receding.psf_fwhm,) * n, (0.0,) * n, (1.0,) * n
        )
        source = f"Moffat of {receding.psf_fwhm} arcsec, stated by the user"
        cutout = replace(cutout, psf=psf_planes(own), meta={**cutout.meta, "psf_source": source})
    return cutout


def _table(rows: Sequence[Mapping[str, Any]]) -> QTable:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = QTable()
    for name in names:
        values = [row.get(name) for row in rows]
        table[name] = u.Quantity(values) if isinstance(values[0], u.Quantity) else values
    return table
