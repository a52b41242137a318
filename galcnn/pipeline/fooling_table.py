"""The table of how a network was fooled: a row for each galaxy and attack."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from galcnn.fooling import UniversalPerturbation, visibility
from galcnn.layers import read_syntheses

if TYPE_CHECKING:
    from galcnn.explain.synthesis import Synthesis

__all__ = ["TABLE", "file_name", "first_syntheses", "row_of", "summary"]

#: In the folder of the results.
TABLE = "fooling.ecsv"


def file_name(stem: str) -> str:
    """Name the file of one galaxy.

    Parameters
    ----------
    stem : str
        See `galcnn.catalog.names.file_stems`.

    Returns
    -------
    str
        In the folder of the results.
    """
    return f"{stem}-fool.fits"


def row_of(
    made: Synthesis, where: tuple[str, str], classes: Sequence[str], *, fitted: bool
) -> dict[str, Any]:
    """Lay one result out.

    Parameters
    ----------
    made : galcnn.explain.Synthesis
        Of an attack.
    where : tuple of str
        Id of the galaxy, and stem of its file.
    classes : sequence of str
        Of the model.
    fitted : bool
        Whether universal perturbations were made of this galaxy, among others.

    Returns
    -------
    dict of str to Any
        A row of the table.
    """
    seen = asdict(visibility(made))
    magnitudes = dict(zip(made.bands, seen.pop("magnitudes"), strict=True))
    return {
        "id": where[0],
        "file": file_name(where[1]),
        "attack": made.method,
        "settings": json.dumps(dict(made.settings)),
        "target": made.target.name,
        "before": classes[int(np.argmax(made.start_logits))],
        "after": classes[int(np.argmax(made.logits))],
        "success": made.success,
        "fitted": fitted and made.method == UniversalPerturbation.name,
        **seen,
        **{f"magnitude_{band}": value for band, value in magnitudes.items()},
    }


def summary(table: Table) -> list[str]:
    """Say in a line what each attack has done.

    Parameters
    ----------
    table : astropy.table.Table
        From `fool_files`.

    Returns
    -------
    list of str
        One an attack with its settings: how many it fooled and how large the median change is.
    """
    lines = []
    keys = list(dict.fromkeys(zip(table["attack"], table["settings"], strict=True)))
    for attack, settings in keys:
        own = table[(table["attack"] == attack) & (table["settings"] == settings)]
        won = own[own["success"]]
        words = f"{attack}: {len(won)} of {len(own)} fooled"
        if len(won) and np.isfinite(won["rms_sigma"]).any():
            words += (
                f"; largest change {np.median(won['largest_sigma']):.3g} sigma, chi-square per degree "
                f"{np.median(won['chi_square']):.2g} (medians), {int(won['visible'].sum())} visible"
            )
        elif len(won):
            words += (
                f"; largest change {np.median(won['largest']):.3g}, rms {np.median(won['rms']):.3g} (medians)"
            )
        if attack == UniversalPerturbation.name and (rest := own[~own["fitted"]]):
            words += f"; {int(rest['success'].sum())} of {len(rest)} that it was not made of"
        lines.append(words)
    return lines


def first_syntheses(
    table: Table, folder: str | os.PathLike[str], most: int
) -> dict[str, tuple[Synthesis, ...]]:
    """Read the first results back, for a figure.

    Parameters
    ----------
    table : astropy.table.Table
        From `fool_files`.
    folder : path-like
        Of its files.
    most : int
        Syntheses in all.

    Returns
    -------
    dict of str to tuple of galcnn.explain.Synthesis
        By id.
    """
    names = list(dict.fromkeys(str(name) for name in table["id"]))
    files = {str(name): str(file) for name, file in zip(table["id"], table["file"], strict=True)}
    found: dict[str, tuple[Synthesis, ...]] = {}
    for name in names:
        room = most - sum(map(len, found.values()))
        if room < 1:
            break
        found[name] = read_syntheses(Path(folder) / files[name])[:room]
    return found
