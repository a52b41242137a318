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
class RedshiftSettings:
    """Settings for redshifting image files.

    Attributes
    ----------
    redshifts : tuple of float
        New redshifts. One cutout is written per galaxy and redshift.
    own : float or None
        Redshift of galaxies for which neither file nor catalog has one.
    observation : galcnn.photometry.Observation or None
        Observation to simulate, see `galcnn.redshifting.redshift`.
    shape : tuple of int or None
        Shape of the cutouts in pixels, (ny, nx). If None, as large as the field of the input allows.
    method : galcnn.redshifting.Redshifting
        Settings of the method.
    seed : int
        Seed of noise and sky.
    psf_fwhm : float or None
        FWHM in arcsec of a Moffat PSF (index 3.5), for files without a PSF.
    """

    redshifts: tuple[float, ...]
    own: float | None = None
    observation: Observation | None = None
    shape: tuple[int, int] | None = None
    method: Redshifting = field(default_factory=Redshifting)
    seed: int = 0
    psf_fwhm: float | None = None

    def __post_init__(self) -> None:
        if not self.redshifts or not all(np.isfinite(z) and z > 0 for z in self.redshifts):
            raise ValueError(message("redshifts above 0", "Change them: --to.", redshifts=self.redshifts))


@dataclass(frozen=True)
class Skipped:
    """A galaxy that was skipped, since it cannot be redshifted.

    Attributes
    ----------
    id : str
        Id of the input image.
    redshift : float
        Requested redshift.
    reason : str
        Why it was skipped.
    """

    id: str
    redshift: float
    reason: str


def redshift_files(
    files: InputFiles,
    *,
    out: str | os.PathLike[str],
    settings: RedshiftSettings,
    catalog: Catalog | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> tuple[Catalog, list[Skipped]]:
    """Redshift the galaxies of image files, and write the cutouts with a catalog.

    Galaxies without the needed data (redshift, PSF, field, bands) are skipped, with the reason.

    Parameters
    ----------
    files : galcnn.dataset.InputFiles
        The images.
    out : path-like
        Output folder for ``cutouts/``, ``catalog.ecsv`` and, if galaxies were skipped,
        ``skipped.ecsv``. An interrupted run is continued.
    settings : RedshiftSettings
        New redshifts, observation and method.
    catalog : galcnn.catalog.Catalog, optional
        Catalog with the ids of the files. Its columns redshift (used if the file has none), class,
        split, ra and dec are copied to the new catalog.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per input image.
    overwrite : bool
        If True, discard earlier results in the folder and start again.

    Returns
    -------
    catalog : galcnn.catalog.Catalog
        One row per galaxy and redshift: ``id``, ``object`` (id of the input), ``redshift``,
        ``redshift_from``, ``image``, and the columns of `catalog`.
    skipped : list of Skipped
        Skipped galaxies and redshifts, with the reason.

    Raises
    ------
    ValueError
        If the folder holds something else, or no galaxy could be redshifted.
    """
    folder = Path(out)
    described = repr((settings, files.described, files.hdu, files.zero_points))
    claim = atomic.claim(
        folder,
        described,
        what="one with the same redshifts and settings",
        own=("catalog.ecsv", "skipped.ecsv", "cutouts"),
        inputs=files.paths.values(),
        overwrite=overwrite,
    )
    stems = file_stems(files.paths)
    known = _columns(catalog, files.ids)
    rows, skipped = [], []
    with progress("redshift", len(files.paths)) as step:
        for name in files.paths:
            for made in _redshifted(files, name, known.get(name, {}), settings):
                if isinstance(made, Skipped):
                    skipped.append(made)
                    continue
                row, far = made
                # A hash of the pixels is part of the name, because another input may have the same id.
                image = f"cutouts/{stems[name]}-{row.pop('pixels')}-z{row['redshift']:g}.fits"
                claim.once(image, partial(save_cutout, far))
                rows.append(row | {"image": image})
            step()
    if not rows:
        first = skipped[0]
        raise ValueError(f"No galaxy could be redshifted. {first.id} to z={first.redshift:g}: {first.reason}")
    made_catalog = Catalog(_table(rows))
    write_table(made_catalog.table, folder / "catalog.ecsv")
    if skipped:
        table = QTable(
            {name: [getattr(one, name) for one in skipped] for name in ("id", "redshift", "reason")}
        )
        write_table(table, folder / "skipped.ecsv")
    return made_catalog, skipped


def _columns(catalog: Catalog | None, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the values that are copied from the catalog, by id."""
    if catalog is None:
        return {}
    wanted = set(names)
    carried = [name for name in ("redshift", "class", "split", "ra", "dec") if name in catalog.table.colnames]
    return {
        str(row["id"]): {name: row[name] for name in carried}
        for row in catalog.table
        if str(row["id"]) in wanted
    }


def _redshifted(
    files: InputFiles, name: str, known: Mapping[str, Any], settings: RedshiftSettings
) -> Iterator[tuple[dict[str, Any], Cutout] | Skipped]:
    try:
        near = _completed(files.load(name), known.get("redshift"), settings)
    except (OSError, ValueError) as error:
        yield from (Skipped(name, z, str(error)) for z in settings.redshifts)
        return
    copied = {column: value for column, value in known.items() if column != "redshift"}
    own = {"object": name, "redshift_from": near.redshift, "pixels": digest(near)[:12], **copied}
    for z in settings.redshifts:
        try:
            far = redshift(
                near,
                z,
                observation=settings.observation,
                shape=settings.shape,
                settings=settings.method,
                seed=settings.seed,
            )
        except ValueError as error:
            yield Skipped(name, z, str(error))
        else:
            yield {"id": f"{name} z={z:g}", "redshift": z, **own}, far


def _completed(cutout: Cutout, cataloged: float | None, settings: RedshiftSettings) -> Cutout:
    """Add the redshift and the PSF that the file does not contain."""
    known = (cataloged, settings.own)
    stated = next((float(z) for z in known if z is not None and np.ma.filled(z, np.nan) > 0), None)
    if cutout.redshift is None and stated is not None:
        cutout = replace(cutout, redshift=stated)
    if cutout.psf is None and settings.psf_fwhm is not None and cutout.pixel_scale is not None:
        n = len(cutout.bands)
        own = Observation(
            "input", cutout.bands, cutout.pixel_scale, (settings.psf_fwhm,) * n, (0.0,) * n, (1.0,) * n
        )
        source = f"Moffat of {settings.psf_fwhm} arcsec, stated by the user"
        cutout = replace(cutout, psf=psf_planes(own), meta={**cutout.meta, "psf_source": source})
    return cutout


def _table(rows: Sequence[Mapping[str, Any]]) -> QTable:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = QTable()
    for name in names:
        values = [row.get(name) for row in rows]
        table[name] = u.Quantity(values) if isinstance(values[0], u.Quantity) else values
    return table
