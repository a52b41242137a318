"""Labels of galaxies: classes merged or dropped, vote fractions checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from galcnn.catalog.catalog import Catalog, as_numbers
from galcnn.errors import did_you_mean, message

#: Tolerance of sums, since published fractions are rounded: seven answers of Galaxy Zoo 2 sum to 1.002.
_ROUNDING = 0.01


def relabel(
    catalog: Catalog, *, merge: Mapping[str, Sequence[str]] | None = None, drop: Sequence[str] = ()
) -> Catalog:
    """Merge classes and drop others.

    Parameters
    ----------
    catalog : Catalog
        Catalog with a column `class`.
    merge : mapping of str to sequence of str, optional
        New class and the old classes that are merged into it.
    drop : sequence of str, optional
        Classes whose galaxies are removed.

    Returns
    -------
    Catalog
        Catalog with the new classes.

    Raises
    ------
    ValueError
        If a class does not exist, or is merged or dropped twice.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> catalog = Catalog(QTable({"id": ["1", "2", "3"], "class": ["cw", "acw", "star"]}))
    >>> relabel(catalog, merge={"spiral": ["cw", "acw"]}, drop=["star"]).labels.tolist()
    ['spiral', 'spiral']
    """
    known = set(catalog.classes)
    given = np.asarray(catalog.table["class"], dtype=str)  # may have gaps, which stay
    labels = given.astype(object)
    named = [old for olds in (merge or {}).values() for old in olds] + list(drop)
    if unknown := sorted(set(named) - known):
        raise ValueError(
            message(
                f"classes among {sorted(known)}",
                did_you_mean(unknown[0], known, "Check --merge and --drop."),
                unknown=unknown,
            )
        )
    if len(set(named)) != len(named):
        raise ValueError(
            message("each class merged or dropped once", "Check --merge and --drop.", classes=named)
        )
    for new, olds in (merge or {}).items():
        labels[np.isin(given, list(olds))] = new
    kept = ~np.isin(given, list(drop))
    return catalog.with_column("class", labels.astype(str)).select(kept)


def vote_fractions(
    catalog: Catalog, answers: Sequence[str], *, parent: str | None = None
) -> npt.NDArray[np.float64]:
    """Return the checked vote fractions of all answers to one question.

    Parameters
    ----------
    catalog : Catalog
        Catalog with one column per answer.
    answers : sequence of str
        Columns of the answers to the question, at least two.
    parent : str, optional
        Column of the parent answer, if fractions are cumulative, so that the answers sum to the
        parent's fraction (Kaggle's Galaxy Zoo challenge). By default they sum to 1.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, n_answers). A row is NaN if the question was not asked: all answers are
        missing or, without `parent`, all are missing or 0.

    Raises
    ------
    ValueError
        If a fraction is outside 0 to 1 or missing beside others, or the sum is wrong by over 0.01.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> votes = {"id": ["a", "b"], "bar": [0.25, 0.0], "no_bar": [0.75, 0.0]}
    >>> vote_fractions(Catalog(QTable(votes)), ["bar", "no_bar"]).tolist()
    [[0.25, 0.75], [nan, nan]]
    """
    read = vote_columns(catalog, [*answers] if parent is None else [*answers, parent])
    if len(answers) < 2:
        raise ValueError(message("at least two answers to a question", "", answers=list(answers)))
    votes = read[:, : len(answers)]
    total = np.ones(len(catalog)) if parent is None else read[:, -1]
    asked = np.isfinite(votes).any(axis=1)
    if parent is None:
        asked &= (votes != 0).any(axis=1)
    sums = votes.sum(axis=1)
    with np.errstate(invalid="ignore"):
        outside = np.logical_and(asked, ((votes < 0) | (votes > 1)).any(axis=1))
        wrong = np.logical_and(asked & ~outside, ~(np.abs(sums - total) <= _ROUNDING))
    refuse_votes(catalog, outside, "vote fractions within 0 and 1", "Divide counts by their total.", votes)
    summing = "1" if parent is None else repr(parent)
    refuse_votes(catalog, wrong, f"answers {list(answers)} that sum to {summing}", "", votes)
    votes[~asked] = np.nan
    return votes


def vote_columns(catalog: Catalog, answers: Sequence[str]) -> npt.NDArray[np.float64]:
    """Read one column per answer, shape (n, n_answers); masked values are NaN."""
    table = catalog.table
    if missing := [name for name in answers if name not in table.colnames]:
        raise ValueError(
            message(
                "a column for each answer",
                did_you_mean(missing[0], table.colnames),
                missing=missing,
                columns=table.colnames,
            )
        )
    return np.stack([as_numbers(table[name], name) for name in answers], axis=1)


def refuse_votes(
    catalog: Catalog,
    wrong: npt.NDArray[np.bool_],
    expected: str,
    remedy: str,
    votes: npt.NDArray[np.float64],
) -> None:
    """Raise an error that names the first galaxy with wrong votes, if there is one."""
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            message(
                expected, remedy, id=catalog.ids[first], votes=votes[first].tolist(), n_wrong=int(wrong.sum())
            )
        )
