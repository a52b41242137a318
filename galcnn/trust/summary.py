"""Tables and words of a report, from the values of each galaxy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import QTable

from galcnn.evaluation import bootstrap
from galcnn.trust.checks import CHECKS, Arrays
from galcnn.trust.verdicts import CRITERIA, Finding, criterion, judge

__all__ = ["curve_table", "randomisation_table", "summary", "verdict_table"]

Found = Mapping[str, Arrays]

_COLUMNS = (
    "method",
    "criterion",
    "value",
    "low",
    "high",
    "n",
    "null",
    "limit",
    "passes",
    "verdict",
    "reason",
)

_VERDICTS = (
    "Means over galaxies with 95 % bootstrap intervals. A method **passes** a criterion where the whole "
    "interval is on its good side, *fails* where the whole interval is not, and is undecided else. Methods "
    "whose name begins with control are no explanations: the image's edges, its light, random numbers."
)


def verdict_table(found: Found, *, seed: int = 0) -> QTable:
    """Judge every method by every criterion that was measured.

    Parameters
    ----------
    found : mapping of str to dict
        Method -> arrays of its checks.
    seed : int
        Of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        A row a method and criterion.
    """
    rows: list[tuple[Any, ...]] = []
    for method, arrays in found.items():
        for check, (_, names) in CHECKS.items():
            refused = arrays.get(f"{check}_refused")
            for name in names:
                if refused is None and name not in arrays:
                    continue  # it was not asked for: no other models
                asked = criterion(name)
                if refused is not None:
                    if name in ("significance-seeds", "significance-labels"):
                        continue
                    finding = Finding(asked, "does not apply", reason=str(refused))
                else:
                    finding = judge(arrays[name], asked, seed=seed)
                score = finding.score
                figures = (score.value, score.low, score.high, score.n) if score else (np.nan,) * 3 + (0,)
                side = "above" if asked.above else "below"
                rows.append(
                    (method, name, *figures, asked.null, asked.limit, side, finding.word, finding.reason)
                )
    return QTable(rows=rows, names=_COLUMNS)


def randomisation_table(found: Found, *, seed: int = 0) -> QTable:
    """Lay out how alike maps stay as the network forgets.

    Parameters
    ----------
    found : mapping of str to dict
        Method -> arrays of its checks.
    seed : int
        Of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        A row a method, mode, stage and measure: mean over galaxies with its 95 % interval.
    """
    rows = []
    for method, arrays in found.items():
        for mode in ("cascading", "independent"):
            for measure in ("rank", "signed_rank", "ssim", "signed_ssim"):
                values = arrays.get(f"{mode}_{measure}")
                if values is None:
                    continue
                own = values[:, np.isfinite(values).all(axis=0)]
                if own.shape[1] < 2:
                    continue
                means, lows, highs = bootstrap(
                    partial(_means, own), np.zeros(own.shape[1], dtype=int), seed=seed, n_bootstrap=500
                )
                for stage, *figures in zip(arrays["stages"], means, lows, highs, strict=True):
                    rows.append((method, mode, measure, str(stage), *figures, own.shape[1]))
    names = ("method", "mode", "measure", "stage", "value", "low", "high", "n")
    return QTable(rows=rows, names=names) if rows else QTable()


def curve_table(found: Found) -> QTable:
    """Lay out the mean curves of deletion and insertion.

    Parameters
    ----------
    found : mapping of str to dict
        Method -> arrays of its checks.

    Returns
    -------
    astropy.table.QTable
        A row a method, curve, order and share of the pixels: mean score of the target.
    """
    rows = []
    for method, arrays in found.items():
        if "fractions" not in arrays:
            continue
        for what in ("deletion", "insertion"):
            for order in ("method", "random", "light"):
                curve = arrays[f"{what}_{order}_curve"].mean(axis=0)
                rows += [
                    (method, what, order, float(x), float(y))
                    for x, y in zip(arrays["fractions"], curve, strict=True)
                ]
    names = ("method", "curve", "order", "fraction", "score")
    return QTable(rows=rows, names=names) if rows else QTable()


def summary(table: QTable) -> str:
    """Say in words which methods pass.

    Parameters
    ----------
    table : astropy.table.QTable
        From `verdict_table`.

    Returns
    -------
    str
        Markdown.
    """
    methods = list(dict.fromkeys(str(name) for name in table["method"]))
    asked = [one for one in CRITERIA if one.name in set(table["criterion"])]
    cells = {(str(row["method"]), str(row["criterion"])): row for row in table}
    lines = [
        "# Can the maps be trusted?",
        "",
        f"{table.meta.get('model', 'model')}, {table.meta.get('n_galaxies', '?')} galaxies. {_VERDICTS}",
        "",
        "| criterion | " + " | ".join(methods) + " |",
        "|---|" + "---|" * len(methods),
    ]
    for one in asked:
        shown = [_cell(cells.get((method, one.name))) for method in methods]
        lines.append(f"| {one.name} {'>' if one.above else '<'} {one.limit:g} | " + " | ".join(shown) + " |")
    lines += ["", "## What is asked", ""]
    lines += [
        f"- **{one.name}**: {one.statistic}. {one.null:.3g} for a map that knows nothing; asked for: "
        f"{'above' if one.above else 'below'} {one.limit:g}."
        for one in asked
    ]
    reasons = {
        (str(row["method"]), str(row["reason"])): None for row in table if row["verdict"] == "does not apply"
    }
    if reasons:
        lines += ["", "## What does not apply", ""]
        lines += [f"- {method}: {reason}" for method, reason in reasons]
    return "\n".join([*lines, ""])


def _means(values: npt.NDArray[np.float64], chosen: npt.NDArray[np.int_]) -> npt.NDArray[np.float64]:
    means: npt.NDArray[np.float64] = values[:, chosen].mean(axis=1)
    return means


def _cell(row: Any) -> str:
    if row is None:
        return ""
    word = str(row["verdict"])
    if word == "does not apply":
        return "-"
    figures = f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    return {"passes": f"**passes** {figures}", "fails": f"*fails* {figures}"}.get(word, f"{word} {figures}")
