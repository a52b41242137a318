"""Deep dreams of image files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog.names import file_stems
from galcnn.dataset import InputFiles
from galcnn.explain import Dream
from galcnn.layers import write_syntheses
from galcnn.layers.appending import already_written
from galcnn.model import TrainedModel, prepare
from galcnn.pipeline.explanations import provenance


def dream_files(
    trained: TrainedModel,
    files: InputFiles,
    folder: str | os.PathLike[str],
    *,
    dream: Dream,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Iterator[tuple[str, Path | Exception]]:
    """Make a deep dream of each image file; an error in one file does not affect the others.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        Images in the model's bands and unit, of any shape.
    folder : path-like
        Output folder for ``<id>-dream.fits``, see `galcnn.layers.write_syntheses`. An interrupted run
        is continued: files with the same settings are kept.
    dream : galcnn.explain.Dream
        Network layer and settings of the dream.
    progress : galcnn._runtime.progress.Progress
        Progress display of the steps of each image.
    overwrite : bool
        If True, discard earlier results in the folder and start again.

    Yields
    ------
    tuple of str and (pathlib.Path or Exception)
        Id and output file; or the error, whose message names the image.

    Raises
    ------
    ValueError
        If the network has no such layer or channel.
    OSError
        If a file cannot be written.
    """
    own, inputs = ("*-dream.fits",), files.paths.values()
    claim = atomic.claim(folder, what="one of galcnn dream", own=own, inputs=inputs, overwrite=overwrite)
    claim.mark()
    stems = file_stems(files.paths)
    for name in files.ids:
        out = Path(folder) / f"{stems[name]}-dream.fits"
        try:
            with files.named(name):
                origin = provenance(trained, files, name) | {"dream": asdict(dream)}
                cutout = files.load(name)
                cutout = prepare(cutout, replace(trained.card.inputs, shape=cutout.shape))
        except (OSError, ValueError) as error:
            yield name, error
            continue
        if not already_written(out, origin):
            made = dream(trained, cutout, id=name, progress=progress)
            write_syntheses(out, [made], provenance=origin, wcs=cutout.wcs)
        yield name, out
