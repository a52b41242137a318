"""Show a data set before and after preprocessing, and list suspicious cutouts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, write_table
from galcnn.dataset import InputFiles, suspicious_table
from galcnn.dataset.suspicious import CutoutMeasure, SuspicionLimits, measure_cutout
from galcnn.model import fit_preprocessing, images_from
from galcnn.model.preprocessing.fitting import Preprocessed
from galcnn.model.preprocessing.statistics import ImageStack, moments, pieces, sky_noise
from galcnn.model.settings import Per, Scaling, Stretch
from galcnn.viewers import save_figure
from galcnn.viewers.plots.data import preprocessing_figure, suspicious_figure

if TYPE_CHECKING:
    from galcnn.cutout import Cutout


_GALAXIES = 8
_PIXELS = 500_000


@dataclass(frozen=True)
class DataView:
    """Settings of the display of a data set.

    Attributes
    ----------
    stretch, scaling, per
        Preprocessing, see `galcnn.model.fit_preprocessing`.
    limits : galcnn.dataset.suspicious.SuspicionLimits
        Limits beyond which a cutout is listed as suspicious.
    seed : int
        Seed of the choice of galaxies in the figure.
    """

    stretch: Stretch = "auto"
    scaling: Scaling = "standardize"
    per: Per = "band"
    limits: SuspicionLimits = field(default_factory=SuspicionLimits)
    seed: int = 0


def show_data(
    catalog: Catalog,
    out: str | os.PathLike[str],
    *,
    files: InputFiles | None = None,
    view: DataView | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Table:
    """Draw a data set before and after preprocessing, and list its suspicious cutouts.

    The preprocessing is fitted as in a training: to the training galaxies if the catalog has a column
    `split`, otherwise to all galaxies that can be read.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Catalog with a column `image`.
    out : path-like
        Output folder for ``preprocessing.png``, ``statistics.ecsv`` (statistics of each plane before and
        after), ``suspicious.ecsv`` and, if there are suspicious cutouts that can be read,
        ``suspicious.png``.
    files : galcnn.dataset.InputFiles, optional
        The images of the catalog, with the way they are read; ``InputFiles.of(catalog)`` by default.
    view : DataView, optional
        Settings; the defaults if not given.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per image read.
    overwrite : bool
        If True, replace files of these names, also in a folder with other content.

    Returns
    -------
    astropy.table.Table
        Suspicious cutouts, see `galcnn.dataset.suspicious_table`.

    Raises
    ------
    OSError, ValueError
        If no image can be read, or the folder cannot be written.
    """
    view = view or DataView()
    folder = Path(out)
    own = ("preprocessing.png", "statistics.ecsv", "suspicious.*")
    claim = atomic.claim(folder, what="one of galcnn inspect", own=own, overwrite=overwrite)
    files = files or InputFiles.of(catalog)
    arrays: list[npt.NDArray[np.float32]] = []
    measures: list[CutoutMeasure | None] = []
    errors: list[str] = []
    with progress("read images", len(files)) as step:
        for name in files.ids:
            step()
            try:
                cutout = files.prepared(name)
            except (OSError, ValueError) as error:
                measures.append(None)
                errors.append(str(error))
                continue
            arrays.append(images_from([cutout])[0])
            measures.append(measure_cutout(cutout))
            errors.append("")
    if not arrays:
        raise ValueError(f"None of {len(files)} images could be read. {''.join(errors[:1])}")
    stack = np.stack(arrays)
    rows = np.array([i for i, one in enumerate(measures) if one is not None])
    training = stack[_training(catalog, rows)]
    model = fit_preprocessing(
        training, stretch=view.stretch, scaling=view.scaling, per=view.per, unit=files.spec.unit
    )
    before = files.spec.bands
    rotated = view.scaling in ("pca", "whiten")
    planes = tuple(f"component {i + 1}" for i in range(len(before))) if rotated else before
    names = {"before": before, "after": planes}
    stages: dict[str, ImageStack] = {"before": training, "after": Preprocessed(training, [model])}
    table = suspicious_table(files.ids, measures, limits=view.limits, errors=errors)
    table.meta["n_galaxies"] = len(files)
    statistics = _statistics(stages, names)
    statistics.meta["layers"] = [layer.name for layer in model.layers if layer.name != "image"]
    statistics.meta["n_galaxies"] = len(training)
    claim.mark()
    write_table(statistics, folder / "statistics.ecsv")
    write_table(table, folder / "suspicious.ecsv")
    rng = seeding.generator(view.seed, "data")
    some = np.sort(rng.permutation(len(stack))[:_GALAXIES])
    figure = preprocessing_figure(
        [files.prepared(files.ids[rows[i]]) for i in some],
        stack[some],
        model.predict(stack[some], verbose=0),
        pixels={stage: _sample(images) for stage, images in stages.items()},
        planes=planes,
    )
    save_figure(figure, folder / "preprocessing.png")
    _draw_suspicious(files, table, folder / "suspicious.png")
    return table


def _training(catalog: Catalog, rows: npt.NDArray[np.int_]) -> npt.NDArray[np.bool_]:
    table = catalog.table
    everything = np.ones(len(rows), dtype=bool)
    side = np.asarray(table["split"])[rows] == "train" if "split" in table.colnames else everything
    return side if side.any() else everything


def _sample(images: ImageStack) -> npt.NDArray[np.float32]:
    """Return the pixels of evenly spaced whole images, since the scaling may be per image."""
    n = min(max(_PIXELS // int(np.prod(images.shape[1:3])), 1), len(images))
    rows = np.linspace(0, len(images) - 1, n).astype(int)
    sample: npt.NDArray[np.float32] = np.concatenate([images[i : i + 1] for i in rows])
    return sample.reshape(-1, images.shape[-1])


def _statistics(stages: Mapping[str, ImageStack], names: Mapping[str, Sequence[str]]) -> Table:
    """Return one row per plane and stage; percentiles are of a sample, the rest of all training images."""
    rows = []
    for stage, images in stages.items():
        mean, covariance = moments(images)
        noise, pixels = sky_noise(images), _sample(images)
        for i, name in enumerate(names[stage]):
            low, middle, high = np.percentile(pixels[:, i], (1, 50, 99))
            figures = {
                "mean": mean[i],
                "deviation": np.sqrt(covariance[i, i]),
                "minimum": min(piece[..., i].min() for piece in pieces(images)),
                "percentile_1": low,
                "median": middle,
                "percentile_99": high,
                "maximum": max(piece[..., i].max() for piece in pieces(images)),
                "frame_noise": noise[i],
            }
            figures |= {f"covariance_{j + 1}": covariance[i, j] for j in range(len(mean))}
            rows.append({"stage": stage, "plane": name} | {k: float(v) for k, v in figures.items()})
    return Table(rows)


def _draw_suspicious(files: InputFiles, table: Table, path: Path) -> None:
    """Draw suspicious cutouts that can be read, by reason in turn; remove an old figure if there are none."""
    wanted: list[int] = []
    groups = [np.flatnonzero(table["reason"] == name) for name in dict.fromkeys(table["reason"])]
    for depth in range(max((len(group) for group in groups), default=0)):
        wanted += [int(group[depth]) for group in groups if depth < len(group)]
    cutouts: list[Cutout] = []
    titles: list[str] = []
    for position in wanted[:40]:
        one = table[position]
        if one["reason"] == "unreadable":
            continue
        cutouts.append(files.prepared(str(one["id"])))
        detail = str(one["detail"]).replace(": ", "\n")
        titles.append(f"{one['id']}\n{one['reason']} {one['value']:.3g}\n{detail}".rstrip())
    if cutouts:
        save_figure(suspicious_figure(cutouts, titles, total=len(set(table["row"]))), path)
    else:
        path.unlink(missing_ok=True)
