"""Redshift the galaxies of image files, and write cutouts with a catalog."""

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
    """Settings for redshifting image files.

    Attributes
    ----------
    redshifts : tuple of float
        New redshifts. One cutout is written per galaxy and redshift.
    observation : galcnn.photometry.Observation or None
        Observation to simulate, see `galcnn.redshifting.redshift`.
    shape : tuple of int or None
        Shape of the cutouts in pixels, (ny, nx). If None, as large as the field of the input allows.
    settings : galcnn.redshifting.Redshifting
        Settings of the method.
    seed : int
        Seed of noise and sky.
    psf_fwhm : float or None
        FWHM in arcsec of a Moffat PSF (index 3.5), for files without a PSF.
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
    """A galaxy that could not be redshifted.

    Attributes
    ----------
    id : str
        Id of the input image.
    redshift : float
        Requested redshift.
    reason : str
        Reason of the failure.
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
    """Redshift the galaxies of image files, and write the cutouts with a catalog.

    Galaxies without the needed data (redshift, PSF, field, bands) are skipped, with the reason.

    Parameters
    ----------
    files : galcnn.dataset.InputFiles
        The images.
    known : mapping of str to mapping
        Id -> values to copy to the new catalog, by column. ``redshift`` is used if the file has no
        redshift.
    out : path-like
        Output folder for ``cutouts/``, ``catalog.ecsv`` and, if galaxies were skipped,
        ``refused.ecsv``. An interrupted run is continued.
    receding : Receding
        New redshifts, and settings.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per input image.
    overwrite : bool
        If True, discard earlier results in the folder and start again.

    Returns
    -------
    catalog : galcnn.catalog.Catalog
        One row per galaxy and redshift: ``id``, ``object`` (id of the input), ``redshift``,
        ``redshift_from``, ``image``, and the known columns.
    refusals : list of Refusal
        Skipped galaxies and redshifts, with the reason.

    Raises
    ------
    ValueError
        If the folder holds something else, or no galaxy could be redshifted.
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
                # A hash of the pixels is part of the name, because another input may have the same id.
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
