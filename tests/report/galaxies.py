"""Galaxies of known pictures, maps and answers, and how tests read a report back."""

import base64
import json
from pathlib import Path

import numpy as np
from astropy.wcs import WCS

from galcnn.catalog import write_table
from galcnn.cutout import Cutout
from galcnn.explain import Explanation
from galcnn.layers import LayerStack
from galcnn.model import Target
from galcnn.prediction import BLANK, MASKED, UNREADABLE, Prediction

CLASSES = ("elliptical", "edge-on / disc", "spiral")
#: Names that would break a page that pasted them into HTML, a script or a selector.
HOSTILE = (
    "<img src=x onerror=\"globalThis.hacked='img'\">",
    "</script><script>globalThis.hacked='script'</script>",
    "\"' onmouseover='globalThis.hacked=1' x=\"",
    "javascript:globalThis.hacked=2",
    "${globalThis.hacked=3}`'\\",
    "&lt;b&gt; &amp; é 星系 \U0001f30c",
    "../../etc/passwd",
    "__proto__",
)


#: A catalog refuses this one; layers and tables of answers do not.
UNPRINTABLE = "line\u2028separator\u2029and\nnew line\tand\x01control"


def sky(shape=(24, 32), *, ra=150.0, dec=2.0, scale=0.5):
    """Turned by 30 degrees, its reference pixel off the centre."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [shape[1] / 3, shape[0] / 2]
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    wcs.wcs.cd = np.array([[-cos, -sin], [-sin, cos]]) * scale / 3600
    return wcs


def a_cutout(seed=0, shape=(24, 32), wcs=True):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    light = 1e4 * np.exp(-np.hypot((x - shape[1] / 2) / 6, (y - shape[0] / 2) / 3))
    flux = np.stack([light, 2 * light]) + rng.normal(size=(2, *shape)) * 10
    return Cutout(flux, ("g", "r"), wcs=sky(shape) if wcs else None, survey="test")


def a_stack(name, logits=(0.0, 1.0, 2.0), *, seed=0, shape=(24, 32), wcs=True, model="one"):
    """Saliency of two targets in two bands with a corner without value; and one map for all bands."""
    rng = np.random.default_rng(seed + 100)
    cutout = a_cutout(seed, shape, wcs)
    slopes = (1e-4 * rng.normal(size=(2, 2, *shape))).astype(np.float32)
    slopes[:, :, :3, :5] = np.nan
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    spiral, margin = Target.of_class("spiral", CLASSES), Target.margin("spiral", "elliptical", CLASSES)
    explanations = (
        Explanation(slopes[0], ("g", "r"), "saliency", spiral, "flux", "nJy-1", 2.0, {"mean": True}),
        Explanation(slopes[1], ("g", "r"), "saliency", margin, "flux", "nJy-1", 2.0),
        Explanation((x - y)[np.newaxis], ("all",), "cam", spiral, "stretched", "", 2.0),
    )
    origin = {"model": model, "model_sha256": model * 8, "input": f"{seed}.fits"}
    return LayerStack(cutout, Prediction((name,), [list(logits)], CLASSES), explanations, origin)


def answers(ids, *, seed=0, failed=()):
    """A table of `galcnn classify`, with some that could not be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(len(ids), len(CLASSES))).astype(np.float32)
    flags = np.zeros(len(ids), dtype=np.int16)
    reasons = [""] * len(ids)
    for row in failed:
        logits[row], flags[row], reasons[row] = np.nan, UNREADABLE, "no <such> file"
    flags[0] |= MASKED | BLANK
    return Prediction(tuple(ids), logits, CLASSES).to_table(flags=flags, reasons=reasons)


def write_answers(table, path):
    write_table(table, path)
    return path


def read_report(folder):
    text = (Path(folder) / "data" / "report.js").read_text(encoding="ascii")
    return json.loads(text.removeprefix("globalThis.galcnnReport = ").removesuffix(";\n"))


def read_object(folder, row):
    text = (Path(folder) / "data" / "objects" / f"{row:06d}.js").read_text(encoding="ascii")
    return json.loads(text.removeprefix(f"galcnn.receive({row}, ").removesuffix(");\n"))


def values_of(report, name):
    return next(column["values"] for column in report["columns"] if column["name"] == name)


def plane_of(plane, shape):
    """A map as the page reads it, row 0 at the bottom again."""
    steps = np.frombuffer(base64.b64decode(plane["data"]), dtype="<i2").reshape(shape)[::-1]
    return np.where(steps == -32768, np.nan, steps * plane["scale"])
