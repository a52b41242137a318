"""Tables of a layers file, which hold exact values, and HDUs of coarse maps with one pixel per cell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from galcnn.explain import Explanation
from galcnn.explain.explanation import CoarseMap
from galcnn.files.astrometry import lost_tables, wcs_cards
from galcnn.files.text import escape, text_column, to_json, unescape, unique_name
from galcnn.layers.headers import extension_name, map_header
from galcnn.model import Target
from galcnn.model.cells import CellGrid, cell_wcs
from galcnn.prediction import Prediction

if TYPE_CHECKING:
    from astropy.wcs import WCS


MORPHOLOGY, LAYERS, PROVENANCE = "MORPHOLOGY", "LAYERS", "PROVENANCE"


def morphology_table(prediction: Prediction) -> fits.BinTableHDU:
    """Return the prediction of one galaxy as a table with one row per class."""
    n = len(prediction.classes)
    columns = [
        _text("id", prediction.ids * n),
        _text("class", prediction.classes),
        fits.Column("logit", "E", array=prediction.logits[0]),
        fits.Column("adjustment", "D", array=np.array(prediction.adjustment)),
        fits.Column("probability", "D", array=prediction.probabilities[0]),
        fits.Column("entropy", "D", array=np.full(n, prediction.entropy[0])),
    ]
    return fits.BinTableHDU.from_columns(columns, name=MORPHOLOGY)


def prediction_from(table: fits.BinTableHDU) -> Prediction:
    """Read the table of `morphology_table`."""
    rows = table.data
    return Prediction(
        (unescape(rows["id"][0]),),
        np.asarray(rows["logit"], dtype=np.float32)[np.newaxis],
        tuple(unescape(name) for name in rows["class"]),
        tuple(float(value) for value in rows["adjustment"]),
    )


def layers_table(explanations: Sequence[Explanation], names: Sequence[Sequence[str]]) -> fits.BinTableHDU:
    """Return the table of the maps, one row per layer; in `names` the coarse map, if any, is last."""
    rows = [
        (number, explanation, band, name)
        for number, (explanation, planes) in enumerate(zip(explanations, names, strict=True), start=1)
        for band, name in zip(explanation.bands, planes, strict=False)
    ]
    coarse = [
        planes[-1] if one.coarse is not None else "" for one, planes in zip(explanations, names, strict=True)
    ]
    of = [explanation for _, explanation, _, _ in rows]
    weights = np.array([e.target.weights for e in of])
    columns = [
        _text("layer", [name for *_, name in rows]),
        fits.Column("explanation", "J", array=np.array([number for number, *_ in rows])),
        _text("method", [e.method for e in of]),
        _text("target", [e.target.name for e in of]),
        fits.Column("weights", f"{weights.shape[1]}D", array=weights),
        _text("band", [band for _, _, band, _ in rows]),
        _text("wrt", [e.wrt for e in of]),
        _text("unit", [e.unit for e in of]),
        fits.Column("score", "D", array=np.array([e.score for e in of])),
        fits.Column("baseline", "D", array=np.array([e.baseline_score for e in of], dtype=float)),
        _text("seed", ["" if e.seed is None else str(e.seed) for e in of]),
        _text("network_layer", [e.network_layer for e in of]),
        text_column("settings", [to_json(e.settings, f"settings of {e.method}") for e in of]),
        _text("kind", [e.kind or "" for e in of]),
        _text("coarse", [coarse[number - 1] for number, *_ in rows]),
        _text("field", ["" if e.field is None else " ".join(map(str, e.field)) for e in of]),
    ]
    return fits.BinTableHDU.from_columns(columns, name=LAYERS)


def explanations_from(hdus: Mapping[str, Any]) -> tuple[Explanation, ...]:
    """Read the layers and the table of `layers_table`; lists in settings become tuples."""
    if LAYERS not in hdus:
        return ()
    rows = hdus[LAYERS].data
    numbers = np.asarray(rows["explanation"])
    return tuple(
        _explanation(hdus, rows[numbers == number]) for number in range(1, int(numbers.max(initial=0)) + 1)
    )


def provenance_table(provenance: Mapping[str, Any]) -> fits.BinTableHDU:
    """Return the provenance as a table with one row per key."""
    keys = list(provenance)
    values = [to_json(provenance[key], f"provenance {key!r}") for key in keys]
    return fits.BinTableHDU.from_columns([_text("key", keys), text_column("value", values)], name=PROVENANCE)


def provenance_from(table: fits.BinTableHDU) -> dict[str, Any]:
    """Read the table of `provenance_table`."""
    rows = table.data
    return {unescape(key): json.loads(value) for key, value in zip(rows["key"], rows["value"], strict=True)}


def _explanation(hdus: Mapping[str, Any], rows: fits.FITS_rec) -> Explanation:
    first = rows[0]
    baseline, seed = float(first["baseline"]), str(first["seed"])
    return Explanation(
        attribution=np.stack([hdus[name].data for name in rows["layer"]]),
        bands=tuple(unescape(band) for band in rows["band"]),
        method=unescape(first["method"]),
        target=Target(unescape(first["target"]), tuple(np.atleast_1d(first["weights"]).tolist())),
        wrt=unescape(first["wrt"]),  # type: ignore[arg-type]  # checked by Explanation
        unit=unescape(first["unit"]),
        score=float(first["score"]),
        settings=tuples(json.loads(first["settings"])),
        baseline_score=None if np.isnan(baseline) else baseline,
        seed=int(seed) if seed else None,
        network_layer=unescape(first["network_layer"]),
        kind=unescape(first["kind"]) or None,  # type: ignore[arg-type]  # checked by Explanation
        coarse=coarse_from(hdus, str(first["coarse"])),
        field=_field(str(first["field"])) if "field" in rows.names else None,
    )


def _field(text: str) -> tuple[int, int, int, int] | None:
    """Return the field of view; it is not in files of earlier versions."""
    if not text.strip():
        return None
    y0, y1, x0, x1 = map(int, text.split())
    return y0, y1, x0, x1


def _text(name: str, values: Sequence[str]) -> fits.Column:
    return text_column(name, [escape(value) for value in values])


def tuples(value: Any) -> Any:
    """Convert lists, as read from JSON, to tuples."""
    if isinstance(value, list):
        return tuple(tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return value


#: Cards of the cell grid: centre of the first cell from pixel 1, step and field in pixels.
_CARDS = ("CELL1", "STEP", "FIELD")


def coarse_hdu(explanation: Explanation, used: set[str], wcs: WCS | None) -> fits.ImageHDU:
    """Return the coarse map of an explanation as an image HDU."""
    coarse = explanation.coarse
    assert coarse is not None  # for the type checker
    name = unique_name(extension_name(explanation.method, explanation.target.name, "cells"), used)
    used.add(name)
    shape = (coarse.values.shape[0], coarse.values.shape[1])
    own = None if wcs is None else cell_wcs(wcs, coarse.grid, shape)
    header = map_header(name, explanation, "all", wcs_cards(own))
    said = ("pixel of the image at the first cell", "pixels from cell to cell", "pixels that a cell sees")
    first = (coarse.grid.start[0] + 1, coarse.grid.start[1] + 1)
    for card, values, comment in zip(_CARDS, (first, coarse.grid.jump, coarse.grid.field), said, strict=True):
        header[f"{card}_Y"] = (values[0], comment)
        header[f"{card}_X"] = (values[1], "")
    if (lost := lost_tables(own)) is not None:  # in pixels of this map
        header["HISTORY"] = lost
    return fits.ImageHDU(coarse.values, header)


def coarse_from(hdus: Mapping[str, Any], name: str) -> CoarseMap | None:
    """Read the HDU of `coarse_hdu`."""
    if not name:
        return None
    header, data = hdus[name].header, hdus[name].data

    def pair(card: str) -> tuple[Any, Any]:
        return header[f"{card}_Y"], header[f"{card}_X"]

    y, x = pair(_CARDS[0])
    grid = CellGrid((y - 1.0, x - 1.0), pair(_CARDS[1]), pair(_CARDS[2]))
    return CoarseMap(np.asarray(data, dtype=np.float32), grid)
