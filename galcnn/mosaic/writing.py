"""Write the cutouts of a mosaic to a folder for training and classification."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, write_catalog, write_table
from galcnn.catalog.names import file_stems
from galcnn.files import save_cutout
from galcnn.mosaic.cutting import cut
from galcnn.mosaic.mosaic import Mosaic

CATALOG, NOT_COVERED, _FOLDER = "catalog.ecsv", "not_covered.ecsv", "cutouts"


@dataclass(frozen=True)
class CutReport:
    """Result of cutting the galaxies of a catalog.

    Attributes
    ----------
    folder : pathlib.Path
        Output folder.
    coverage : dict of str to float
        Fraction of pixels that hold a number, by id, of the galaxies that were cut.
    not_covered : dict of str to str
        Reason for a missing cutout, by id.
    n_kept : int
        Number of cutouts that existed before.
    """

    folder: Path
    coverage: Mapping[str, float]
    not_covered: Mapping[str, str]
    n_kept: int = 0

    def lines(self, longest: int = 20) -> list[str]:
        """Return a summary, one line of totals and up to `longest` galaxies without a cutout."""
        partly = sum(share < 1 for share in self.coverage.values())
        said = f"{len(self.coverage)} cut ({partly} of them in part), {len(self.not_covered)} not covered"
        lines = [f"{said}; {self.n_kept} stood already" if self.n_kept else said]
        lines += [f"  {name}: {reason}" for name, reason in list(self.not_covered.items())[:longest]]
        if len(self.not_covered) > longest:
            lines.append(f"  and {len(self.not_covered) - longest} more: {self.folder / NOT_COVERED}")
        return lines


def write_cuts(
    mosaic: Mosaic,
    catalog: Catalog,
    *,
    width: u.Quantity,
    out: str | os.PathLike[str],
    minimum_coverage: float = 0.0,
    progress: Progress = silent,
    overwrite: bool = False,
) -> CutReport:
    """Cut every galaxy of a catalog out of a mosaic and write one FITS file each.

    An interrupted run is resumed: existing files are complete and are kept.

    Parameters
    ----------
    mosaic : Mosaic
        Open mosaic, from `open_mosaic`.
    catalog : galcnn.catalog.Catalog
        Catalog with positions.
    width : astropy.units.Quantity
        Side of the cutouts, see `cut`.
    out : path-like
        Output folder. It gets ``cutouts/<name>.fits``; ``not_covered.ecsv`` if there are such galaxies;
        and last ``catalog.ecsv`` for `galcnn train` and `galcnn classify`, with all columns of the
        galaxies that were cut, and `image` and `coverage`.
    minimum_coverage : float
        Minimum coverage of a cutout, see `cut`.
    progress : galcnn._runtime.progress.Progress
        Progress display.
    overwrite : bool
        If True, remove earlier cutouts and tables from the folder and start again.

    Returns
    -------
    CutReport
        Coverage of the galaxies that were cut, and reasons for the others.

    Raises
    ------
    ValueError
        If the folder holds other files, or cutouts of another mosaic, catalog or width.
    OSError
        If the folder cannot be written, or the disk is full; existing files are complete.
    """
    folder = Path(out)
    cuts = cut(mosaic, catalog, width=width, minimum_coverage=minimum_coverage)
    claim = atomic.claim(
        folder,
        described_cuts(mosaic, catalog, width),
        what="one with cutouts of the same mosaic, catalog and width",
        own=(CATALOG, NOT_COVERED, _FOLDER),
        overwrite=overwrite,
    )
    stems = file_stems(catalog.ids)
    coverage: dict[int, float] = {}
    missing: dict[int, str] = {}
    kept = 0
    with progress("cut", len(catalog)) as step:
        for one in cuts:
            if one.cutout is None:
                missing[one.row] = one.reason
            else:
                coverage[one.row] = one.coverage
                kept += claim.once(f"{_FOLDER}/{stems[one.id]}.fits", partial(save_cutout, one.cutout))
            step()
    ids = catalog.ids
    _write_tables(catalog, folder, coverage, missing, stems)
    return CutReport(
        folder,
        {ids[row]: coverage[row] for row in sorted(coverage)},
        {ids[row]: missing[row] for row in sorted(missing)},
        kept,
    )


def _write_tables(
    catalog: Catalog,
    folder: Path,
    coverage: Mapping[int, float],
    missing: Mapping[int, str],
    stems: Mapping[str, str],
) -> None:
    rows = sorted(missing)
    if rows:
        left = catalog.select(rows).table["id", "ra", "dec"]
        left["reason"] = [missing[row] for row in rows]
        write_table(QTable(left), folder / NOT_COVERED)
    else:
        (folder / NOT_COVERED).unlink(missing_ok=True)
    rows = sorted(coverage)
    if not rows:
        (folder / CATALOG).unlink(missing_ok=True)
        return
    images = [str((folder / _FOLDER / f"{stems[catalog.ids[row]]}.fits").resolve()) for row in rows]
    some = catalog.select(rows).with_column("image", images)
    some = some.with_column("coverage", np.round([coverage[row] for row in rows], 6))
    write_catalog(some, folder / CATALOG)


def described_cuts(mosaic: Mosaic, catalog: Catalog, width: u.Quantity) -> str:
    """Return, as JSON, all that determines the cutouts; mosaics are identified by file size and time."""
    paths = mosaic.meta["path"] if isinstance(mosaic.meta["path"], list) else [mosaic.meta["path"]]
    known = [name for name in ("id", "ra", "dec", "redshift") if name in catalog.table.colnames]
    meta = {key: value for key, value in mosaic.meta.items() if key != "path"}
    beside = [[layer.mask is not None, layer.noise and layer.noise.role] for layer in mosaic.layers]
    rows = [[str(value) for value in row] for row in catalog.table[known]]
    wide = u.Quantity(width)
    return json.dumps(
        {
            "files": [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in map(Path, paths)],
            "bands": mosaic.bands,
            "meta": meta,
            "beside": beside,
            "width": [np.asarray(wide.value).tolist(), str(wide.unit)],
            "rows": rows,
        },
        default=str,
    )
