"""Headers of a layers file, for human readers; the tables hold the exact values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import astropy.units as u
from astropy.io import fits

from galcnn._runtime.version import __version__
from galcnn.files.text import escape, word

if TYPE_CHECKING:
    from galcnn.explain import Explanation, Synthesis
    from galcnn.model import Target
    from galcnn.prediction import Prediction


#: Maximum text length in one card.
_TEXT_LENGTH = 68


#: Maximum lengths of method, target and band in a name; together well below one card.
_PART_LENGTHS = (16, 32, 12)


#: Short forms of long names, for the menus of viewers.
_SHORT = {"saliency": "SAL"}


def card_text(text: str) -> str:
    """Return a text that fits one header card, escaped, with dots at the end if shortened."""
    escaped = escape(text)
    room = _TEXT_LENGTH - escaped[:_TEXT_LENGTH].count("'")  # FITS doubles quotes
    return escaped if len(escaped) <= room else escaped[: room - 3] + "..."


def extension_name(method: str, target: str, band: str) -> str:
    """Return the name of a map layer, such as ``SAL_SPIRAL_G``, or ``CAM_SPIRAL`` for the band ``all``.

    Parameters
    ----------
    method, target, band : str
        Method, target and band; any text.

    Returns
    -------
    str
        Name of A-Z, 0-9 and underscores, which viewers accept as ``file.fits[NAME]`` without quotes.

    Examples
    --------
    >>> extension_name("saliency", "edge-on / disc", "g"), extension_name("cam", "spiral", "all")
    ('SAL_EDGE_ON_DISC_G', 'CAM_SPIRAL')
    """
    parts = [_SHORT.get(method, method), target] + ([] if band == "all" else [band])
    return "_".join(word(part, length) for part, length in zip(parts, _PART_LENGTHS, strict=False))


#: Values of FILETYPE and FILEVERS in the primary header.
FILE_TYPE, FILE_VERSION = "galcnn layers", 1


#: FITS keywords allow three digits after CLASS and LOGIT.
_MOST_CARDS = 999


_MOST_SETTINGS = 99


_CARD_LENGTH = 80


def primary_header(prediction: Prediction, provenance: Mapping[str, Any]) -> fits.Header:
    """Return the primary header: file type, galaxy, network and prediction."""
    header = fits.Header()
    _put(header, "FILETYPE", FILE_TYPE, "kind of this file")
    _put(header, "FILEVERS", FILE_VERSION, "version of the kind")
    header.extend(answer_header(prediction, provenance))
    return header


def answer_header(prediction: Prediction, provenance: Mapping[str, Any]) -> fits.Header:
    """Return the cards of galaxy, network and prediction of a stack."""
    header = fits.Header()
    told = {key: card_text(str(value)) for key, value in provenance.items()}
    _put(header, "OBJECT", card_text(prediction.ids[0]), "id of the galaxy")
    _put(header, "CREATOR", f"galcnn {__version__}", "software that wrote this")
    _put(header, "DATE", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "UTC of writing")
    _put(header, "MODEL", told.get("model", "unknown"), "name of the network")
    _put(header, "MODELSHA", told.get("model_sha256", "unknown"), "SHA-256 of its file")
    _put(header, "INPUT", told.get("input", "unknown"), "name of the image file")
    _put(header, "INPUTSHA", told.get("input_sha256", "unknown"), "SHA-256 of it")
    _put(header, "CLASS", card_text(prediction.best[0]), "most probable class")
    _put(header, "ENTROPY", float(prediction.entropy[0]), "[nat] entropy of the probabilities")
    _put(header, "NCLASS", len(prediction.classes), "number of classes")
    for i, name in enumerate(prediction.classes[:_MOST_CARDS]):
        _put(header, f"CLASS{i + 1}", card_text(name), "name of a class")
        _put(header, f"LOGIT{i + 1}", float(prediction.logits[0, i]), "its logit, calibrated if the model is")
        _put(header, f"PROB{i + 1}", float(prediction.probabilities[0, i]), "its probability")
    return header


def map_header(name: str, explanation: Explanation, band: str, wcs: fits.Header) -> fits.Header:
    """Return the header of one plane of a map."""
    header = _layer_header(name, explanation.unit, wcs)
    # No unit of FITS says what a slope of stretched pixels, or of pixels in sigma, is per.
    slope_in_sigma = explanation.wrt == "sigma" and explanation.kind == "slope"
    if explanation.unit.startswith("(") or slope_in_sigma:
        header.remove("UNITTEXT", ignore_missing=True)
        _put(header, "BUNIT", explanation.unit_label, "in words")
    _put(header, "METHOD", card_text(explanation.method), "explainer")
    _put_target(header, explanation.target)
    _put(header, "BAND", card_text(band), "plane of the image that this map is of")
    _put(header, "WRT", explanation.wrt, "with respect to what")
    _put(header, "KIND", explanation.kind, "slope, amount (of logits) or features")
    if explanation.field is not None:
        y0, y1, x0, x1 = explanation.field
        _put(header, "SEEN", f"[{x0 + 1}:{x1},{y0 + 1}:{y1}]", "pixels that the network sees, x and y")
    _put(header, "SCORE", explanation.score, "value of the target for this image")
    if explanation.baseline_score is not None:
        _put(header, "BASELINE", explanation.baseline_score, "value of the target for the baseline")
        _put(header, "DELTA", explanation.delta, "sum over the bands - (SCORE - BASELINE)")
    _put_making(header, explanation)
    return header


def synthesis_header(name: str, synthesis: Synthesis, part: str, band: str, wcs: fits.Header) -> fits.Header:
    """Return the header of one plane of a synthesis; `part` is image, start, difference ..."""
    header = _layer_header(name, "" if part == "difference in sigma" else synthesis.unit, wcs)
    _put(header, "METHOD", card_text(synthesis.method), "how the image was made")
    _put(header, "PART", part, "image, start, their difference, or the noise")
    _put_target(header, synthesis.target)
    _put(header, "BAND", card_text(band), "plane of the image")
    _put(header, "WRT", synthesis.wrt, "flux, or what the network sees (stretched)")
    _put(header, "SCORE", synthesis.score, "value of the target for the image")
    _put(header, "START", synthesis.start_score, "value of the target for the start")
    header["SUCCESS"] = (synthesis.success, "confirmed by an independent prediction")
    _put_making(header, synthesis)
    return header


def _layer_header(name: str, unit: str, wcs: fits.Header) -> fits.Header:
    header = fits.Header()
    header["EXTNAME"] = name  # set here, since astropy's comment does not fit after a long name
    header.extend(wcs)
    if _fits_unit(unit):
        _put(header, "BUNIT", unit, "")
    elif unit:
        _put(header, "UNITTEXT", card_text(unit), "unit, not one of FITS")
    return header


def _put_target(header: fits.Header, target: Target) -> None:
    _put(header, "TARGET", card_text(target.name), "a sum of logits, or of channels of NETLAYER")
    for i, weight in enumerate(target.weights[:_MOST_CARDS], start=1):
        if weight:
            _put(header, f"WGT{i}", weight, f"weight {i} of the sum")


def _put_making(header: fits.Header, made: Explanation | Synthesis) -> None:
    if made.seed is not None:
        # Integers in FITS cards are limited to 64 bits by readers.
        seed = made.seed if abs(made.seed) < 2**63 else str(made.seed)
        _put(header, "SEED", seed, "of the random numbers")
    if made.network_layer:
        _put(header, "NETLAYER", card_text(made.network_layer), "network layer that it was made at")
    for i, (key, value) in enumerate(list(made.settings.items())[:_MOST_SETTINGS], start=1):
        _put(header, f"SET{i}", card_text(f"{key} = {value}"), "")


def _put(header: fits.Header, key: str, value: str | float | None, comment: str) -> None:
    """Add a card unless the value is None or not finite; omit the comment if there is no room for it."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return
    room = _CARD_LENGTH - len(str(fits.Card(key, value)).rstrip()) - len(" / ")
    header[key] = (value, comment if len(comment) <= room else "")


def _fits_unit(text: str) -> bool:
    try:
        return bool(text) and u.Unit(text, format="fits", parse_strict="raise") is not None
    except ValueError:
        return False
