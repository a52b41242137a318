"""Image files -> files of what a network dreams on them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from galcnn.catalog.naming import file_stems
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message
from galcnn.explain.dream import Dream
from galcnn.explain.strips import in_files, spans
from galcnn.files.opening import opened
from galcnn.files.roles import role_of
from galcnn.inputs import InputFiles, prepare
from galcnn.layers import write_syntheses
from galcnn.layers.streaming import Strip, stream_synthesis
from galcnn.layers.tables import PROVENANCE, provenance_from
from galcnn.model import TrainedModel
from galcnn.mosaic import Mosaic, MosaicFile, open_mosaic
from galcnn.pipeline.explaining import provenance
from galcnn.progress import Progress, silent

__all__ = ["dream_files", "dream_mosaic"]

#: Rows that are read and written at once where a network does not set another number.
_ROWS = 256


def dream_files(
    trained: TrainedModel,
    files: InputFiles,
    folder: str | os.PathLike[str],
    *,
    dream: Dream,
    megabytes: float = 500.0,
    progress: Progress = silent,
) -> Iterator[tuple[str, Path]]:
    """Dream on image files, one after the other.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.inputs.InputFiles
        Images in the model's bands and unit, of any shape.
    folder : path-like
        Gets ``<id>-dream.fits``, see `galcnn.layers.syntheses`. A run that was interrupted goes
        on: files of the same dream are kept.
    dream : galcnn.explain.dream.Dream
        How.
    megabytes : float
        FITS images that take more are dreamt on strip by strip, see `dream_mosaic`.
    progress : galcnn.progress.Progress
        Shows the steps of each.

    Yields
    ------
    tuple of str and pathlib.Path
        Id and file.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        A file cannot be read or does not fit; the text names it.
    """
    stems = file_stems(files.paths)
    for name, path in files.paths.items():
        out = Path(folder) / f"{stems[name]}-dream.fits"
        origin = provenance(trained, files, name) | {"dream": asdict(dream)}
        if not _made(out, origin):
            with _named(path):
                large = _large(files, name, megabytes)
                cutout = None if large else files.load(name)
                if cutout is not None:
                    cutout = prepare(cutout, replace(trained.card.inputs, shape=cutout.shape))
            if cutout is not None:
                made = dream(trained, cutout, id=name, progress=progress)
                write_syntheses(out, [made], provenance=origin, wcs=cutout.wcs)
            else:
                with _named(path), open_mosaic(_with_masks(path), bands=files.bands) as mosaic:
                    dream_mosaic(trained, mosaic, out, dream=dream, about=(name, origin), progress=progress)
        yield name, out


def dream_mosaic(
    trained: TrainedModel,
    mosaic: Mosaic,
    out: str | os.PathLike[str],
    *,
    dream: Dream,
    about: tuple[str, dict[str, Any]] = ("", {}),
    progress: Progress = silent,
) -> None:
    """Dream on an image that is larger than memory.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    mosaic : galcnn.mosaic.Mosaic
        Open, its bands on one grid.
    out : path-like
        The file; a hidden folder beside it holds six to eight arrays of the size of the image while it
        is made.
    dream : galcnn.explain.dream.Dream
        How. It finds what it would find on the same image in memory.
    about : tuple
        Id, and what the file says of its origin.
    progress : galcnn.progress.Progress
        Shows the steps.

    Raises
    ------
    ValueError
        The bands are on several grids, or do not fit the model.
    """
    if len(mosaic.grids) > 1:
        raise ValueError(
            message(
                "bands on one pixel grid, for an image that is larger than memory",
                "Bring them to one grid first.",
                n_grids=len(mosaic.grids),
            )
        )
    inputs, folder = trained.card.inputs, Path(out).parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".dream") as scratch:
        make = in_files(Path(scratch))
        start = make((*mosaic.shape, len(inputs.bands)))
        for rows in spans(mosaic.shape[0], _ROWS):
            part = _strip(mosaic, rows)
            seen = prepare(part, replace(inputs, shape=part.shape))
            planes = np.where(seen.mask, np.float32(np.nan), seen.flux)
            start.write(rows, np.moveaxis(planes, 0, -1))
        name, origin = about
        made, scores = dream.strips(trained, start, make=make, id=name, progress=progress)
        pixel = np.ones((len(inputs.bands), 1, 1), dtype=np.float32)
        described = dream.described(trained, (pixel, pixel), inputs.bands, inputs.unit, scores)

        def strips(band: int) -> Iterator[Strip]:
            for rows in spans(mosaic.shape[0], _ROWS):
                yield made.read(rows)[..., band], start.read(rows)[..., band]

        stream_synthesis(out, described, strips, shape=mosaic.shape, provenance=origin, wcs=mosaic.wcs)


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


def _parts(path: str | os.PathLike[str]) -> list[str]:
    return os.fspath(path).split(",")


def _with_masks(path: str | os.PathLike[str]) -> list[MosaicFile]:
    """Files with the mask that each holds, as loading them whole finds it."""
    found = []
    for part in _parts(path):
        with opened(part) as (hdulist, _):
            masks = [hdu.name for hdu in hdulist if hdu.is_image and role_of(hdu) == "mask"]
        if len(masks) > 1:
            raise ValueError(
                message(
                    "one mask for all bands, in an image that is dreamt on strip by strip",
                    "Allow it more memory: --megabytes.",
                    masks=masks,
                )
            )
        found.append(MosaicFile(part, mask=masks[0] if masks else None))
    return found


def _large(files: InputFiles, name: str, megabytes: float) -> bool:
    """Whether an image must be read strip by strip, and can be: one with a WCS, of which all is wanted."""
    if files.width is not None or files.grid is not None:
        return False
    try:
        with open_mosaic(_parts(files.paths[name]), bands=files.bands) as mosaic:
            return len(mosaic.bands) * mosaic.shape[0] * mosaic.shape[1] * 4 > megabytes * 1e6
    except (UnreadableImageError, OSError):
        return False  # a picture, or no image: loading it says what it is


def _strip(mosaic: Mosaic, rows: slice) -> Cutout:
    """Some rows as a cutout."""
    box = (rows.start, rows.stop, 0, mosaic.shape[1])
    flux = np.stack([layer.read(box) for layer in mosaic.layers])
    mask = ~np.isfinite(flux)
    for plane, layer in zip(mask, mosaic.layers, strict=True):
        if layer.mask is not None:
            plane |= layer.mask.read(box, layer.band)
    return Cutout(flux, mosaic.bands, wcs=mosaic.wcs[rows, :], unit=mosaic.unit, mask=mask)


def _made(out: Path, origin: dict[str, Any]) -> bool:
    if not out.exists():
        return False
    with fits.open(out) as hdulist:
        return PROVENANCE in hdulist and provenance_from(hdulist[PROVENANCE]) == json.loads(
            json.dumps(origin)
        )
