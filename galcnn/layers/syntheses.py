"""Synthesis <-> FITS: synthesised images as layers of a galaxy's file or in a file of their own.

**In a layers file** they follow the maps. For each synthesis and band there is the image, named
METHOD_TARGET_BAND (``CLASS_MODEL_SPIRAL_G``; the network layer, if any, precedes the target). Unless
the synthesis started from zero, there are also ``START_...`` (the start), ``DIFF_...`` (image minus
start) and ``DIFF10_...`` (ten times that). If the noise is known, there are ``NOISE_...`` and
``DIFFSIG_...`` (the difference in sigma). Differences are for viewers and are not read back. All have
the grid and WCS of the cutout, and the cards of maps with `PART` (image, start, difference ...),
`START` and `SUCCESS`. The table SYNTHESES follows, with one row per synthesis and the exact values.

**A file of its own** (`write_syntheses`) has an empty PRIMARY with `FILETYPE` = ``'galcnn
syntheses'``, `FILEVERS` = 1 and `NEXTEND`, the same layers, SYNTHESES and PROVENANCE.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn._runtime import atomic
from galcnn._runtime.version import __version__
from galcnn.errors import UnreadableImageError, message, reading
from galcnn.explain import Synthesis
from galcnn.files.astrometry import wcs_cards
from galcnn.files.sources import opened
from galcnn.files.text import escape, text_column, to_json, unescape, unique_name
from galcnn.layers import tables
from galcnn.layers.headers import extension_name, synthesis_header
from galcnn.model import Target

if TYPE_CHECKING:
    from astropy.wcs import WCS


SYNTHESES = "SYNTHESES"
#: Values of FILETYPE and FILEVERS in the primary header of a file of syntheses.
SYNTHESES_FILE, _FILE_VERSION = "galcnn syntheses", 1
#: Prefix of the layer name by the kind of plane.
_PREFIXES = {
    "image": "",
    "start": "START_",
    "difference": "DIFF_",
    "ten times the difference": "DIFF10_",
    "difference in sigma": "DIFFSIG_",
    "sigma": "NOISE_",
}
#: Parts listed in the table; the others are for viewers.
_NAMED = ("image", "start", "difference", "sigma")


def synthesis_hdus(
    syntheses: Sequence[Synthesis], taken: set[str], wcs: fits.Header
) -> list[fits.ImageHDU | fits.BinTableHDU]:
    """Return syntheses as image HDUs and the table SYNTHESES."""
    images, names = [], []
    for synthesis in syntheses:
        parts = _parts(synthesis)
        names.append(new_names(synthesis, tuple(parts), taken))
        for part, planes in parts.items():
            for name, band, plane in zip(names[-1][part], synthesis.bands, planes, strict=True):
                images.append(fits.ImageHDU(plane, synthesis_header(name, synthesis, part, band, wcs)))
    taken.add(SYNTHESES)
    return [*images, synthesis_table(syntheses, names)]


def new_names(synthesis: Synthesis, parts: Sequence[str], taken: set[str]) -> dict[str, list[str]]:
    """Return layer names of a synthesis, one per part and band, and add them to `taken`."""
    about = f"{synthesis.network_layer} {synthesis.target.name}".strip()
    names: dict[str, list[str]] = {part: [] for part in _PREFIXES}
    for part in parts:
        for band in synthesis.bands:
            name = unique_name(_PREFIXES[part] + extension_name(synthesis.method, about, band), taken)
            taken.add(name)
            names[part].append(name)
    return names


def syntheses_from(hdus: Mapping[str, Any] | fits.HDUList) -> tuple[Synthesis, ...]:
    """Read the HDUs of `synthesis_hdus`."""
    if SYNTHESES not in hdus:
        return ()
    return tuple(_synthesis(hdus, row) for row in hdus[SYNTHESES].data)


def write_syntheses(
    path: str | os.PathLike[str],
    syntheses: Sequence[Synthesis],
    *,
    provenance: Mapping[str, Any] | None = None,
    wcs: WCS | None = None,
) -> None:
    """Write syntheses to a FITS file of their own, atomically.

    Parameters
    ----------
    path : path-like
        Output file, usually ``.fits``. An existing file is replaced.
    syntheses : sequence of galcnn.explain.Synthesis
        One or more syntheses.
    provenance : mapping of str to Any, optional
        Values that can be written as JSON, such as the model and its hash.
    wcs : astropy.wcs.WCS, optional
        WCS of the images, if they have a position on the sky.

    Raises
    ------
    ValueError
        If `syntheses` is empty.
    """
    if not syntheses:
        raise ValueError(message("at least one synthesis", "", n=0))
    layers = synthesis_hdus(syntheses, {"PRIMARY", tables.PROVENANCE}, wcs_cards(wcs))
    end = tables.provenance_table(provenance or {})
    header = fits.Header()
    header["FILETYPE"] = (SYNTHESES_FILE, "kind of this file")
    header["FILEVERS"] = (_FILE_VERSION, "version of the kind")
    header["CREATOR"] = (f"galcnn {__version__}", "software that wrote this file")
    header["DATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "UTC of writing")
    header["NEXTEND"] = (len(layers) + 1, "number of extensions")
    hdulist = fits.HDUList([fits.PrimaryHDU(header=header), *layers, end])
    for hdu in hdulist:
        hdu.add_checksum()
    hdulist.verify("exception")
    with atomic.writing(path) as temporary, open(temporary, "wb") as handle:
        hdulist.writeto(handle, output_verify="ignore")  # verified above


def read_syntheses(path: str | os.PathLike[str]) -> tuple[Synthesis, ...]:
    """Read a file that `write_syntheses` has written.

    Parameters
    ----------
    path : path-like
        File of syntheses.

    Returns
    -------
    tuple of galcnn.explain.Synthesis
        Syntheses with bit-identical arrays.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    galcnn.errors.UnreadableImageError
        If it is not a file of syntheses, is damaged, or is of a newer version.
    """
    file = Path(path)
    with opened(file) as (hdulist, _):
        header = hdulist[0].header
        version, stated = header.get("FILEVERS"), header.get("NEXTEND")
        known = isinstance(version, int) and 1 <= version <= _FILE_VERSION
        if header.get("FILETYPE") != SYNTHESES_FILE or not known or len(hdulist) - 1 != stated:
            raise UnreadableImageError(
                message(
                    f"a whole file of syntheses of version {_FILE_VERSION} or older",
                    "LayerStack.read reads layers files.",
                    path=str(file),
                    filetype=header.get("FILETYPE"),
                    version=version,
                    extensions=(len(hdulist) - 1, stated),
                )
            )
        with reading("a whole file of syntheses", "Write it again.", path=str(file)):
            return syntheses_from(hdulist)


def holds_syntheses(path: str | os.PathLike[str]) -> bool:
    """Return True if a file is one of syntheses, by its primary header only."""
    if not Path(path).is_file():  # a pipe would wait for its other end
        return False
    try:
        with open(path, "rb") as handle, fits.open(handle, memmap=False) as hdulist:
            return bool(hdulist[0].header.get("FILETYPE") == SYNTHESES_FILE)
    except Exception:  # noqa: BLE001  whatever astropy says of a damaged file
        return False


def _parts(synthesis: Synthesis) -> dict[str, npt.NDArray[np.float32]]:
    """Return the planes of a synthesis that are written, by part."""
    parts = {"image": synthesis.image}
    if synthesis.start.any():
        change = synthesis.perturbation
        with np.errstate(over="ignore"):
            ten = np.float32(10) * change
        parts |= {"start": synthesis.start, "difference": change, "ten times the difference": ten}
    in_sigma = synthesis.perturbation_in_sigma
    if synthesis.sigma is not None and in_sigma is not None:
        parts |= {"sigma": synthesis.sigma, "difference in sigma": in_sigma}
    return parts


def synthesis_table(
    syntheses: Sequence[Synthesis], names: Sequence[Mapping[str, list[str]]]
) -> fits.BinTableHDU:
    """Return the table with all properties of the syntheses except their pixels."""

    def text(name: str, values: Sequence[str]) -> fits.Column:
        return text_column(name, [escape(value) for value in values])

    def plain(name: str, values: Sequence[object]) -> fits.Column:
        return text_column(name, [to_json(value, name) for value in values])

    columns = [
        *(plain(part, [of_parts[part] for of_parts in names]) for part in _NAMED),
        plain("bands", [s.bands for s in syntheses]),
        text("method", [s.method for s in syntheses]),
        text("target", [s.target.name for s in syntheses]),
        plain("weights", [s.target.weights for s in syntheses]),
        text("wrt", [s.wrt for s in syntheses]),
        text("unit", [s.unit for s in syntheses]),
        fits.Column("score", "D", array=np.array([s.score for s in syntheses])),
        fits.Column("start_score", "D", array=np.array([s.start_score for s in syntheses])),
        fits.Column("success", "L", array=np.array([s.success for s in syntheses])),
        plain("logits", [s.logits for s in syntheses]),
        plain("start_logits", [s.start_logits for s in syntheses]),
        text("seed", ["" if s.seed is None else str(s.seed) for s in syntheses]),
        text("network_layer", [s.network_layer for s in syntheses]),
        plain("settings", [s.settings for s in syntheses]),
    ]
    return fits.BinTableHDU.from_columns(columns, name=SYNTHESES)


def _synthesis(hdus: Mapping[str, Any] | fits.HDUList, row: fits.FITS_record) -> Synthesis:
    def planes(part: str) -> Any:
        return np.stack([hdus[name].data for name in json.loads(row[part])])

    image, seed = planes("image"), str(row["seed"])
    has_sigma = "sigma" in row.array.names and bool(json.loads(row["sigma"]))
    return Synthesis(
        image=image,
        start=planes("start") if json.loads(row["start"]) else np.zeros_like(image),
        bands=tuple(json.loads(row["bands"])),
        method=unescape(row["method"]),
        target=Target(unescape(row["target"]), tuple(json.loads(row["weights"]))),
        wrt=unescape(row["wrt"]),  # type: ignore[arg-type]  # checked by Synthesis
        unit=unescape(row["unit"]),
        score=float(row["score"]),
        start_score=float(row["start_score"]),
        success=bool(row["success"]),
        logits=tuple(json.loads(row["logits"])),
        start_logits=tuple(json.loads(row["start_logits"])),
        settings=tables.tuples(json.loads(row["settings"])),
        seed=int(seed) if seed else None,
        network_layer=unescape(row["network_layer"]),
        sigma=planes("sigma") if has_sigma else None,
    )


def first_syntheses(
    files: Mapping[str, str | os.PathLike[str]], most: int
) -> dict[str, tuple[Synthesis, ...]]:
    """Read syntheses of files by id, at most so many in total."""
    found: dict[str, tuple[Synthesis, ...]] = {}
    for name, file in files.items():
        room = most - sum(map(len, found.values()))
        if room < 1:
            break
        found[name] = read_syntheses(file)[:room]
    return found
