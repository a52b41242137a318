"""The tree of questions, and the columns of a catalog that hold the votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.catalog.catalog import Catalog
from galcnn.catalog.labels import refuse_votes, vote_columns, vote_fractions
from galcnn.errors import message

_KINDS = ("fractions", "counts")


@dataclass(frozen=True)
class Question:
    """One question and its answers.

    Attributes
    ----------
    name : str
        Of the question.
    answers : tuple of str
        Names of the columns, at least two.
    parent : str or None
        The answer to an earlier question on which this one was asked; None: of all.
    """

    name: str
    answers: tuple[str, ...]
    parent: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", tuple(self.answers))
        if len(self.answers) < 2 or len(set(self.answers)) != len(self.answers):
            raise ValueError(message("two or more distinct answers", "", answers=self.answers))


@dataclass(frozen=True)
class Votes:
    """What people were asked, and in which form their answers are kept.

    Questions form a tree: whether a disk is edge-on is asked only of those who saw a disk.

    Attributes
    ----------
    questions : tuple of Question
        Parents before children; no answer twice.
    kind : {"fractions", "counts"}
        Cumulative fractions: the share of all people who gave the answer, so that the answers to
        a question sum to their parent's. Or the number of people who gave it.

    Examples
    --------
    >>> votes = Votes((Question("shape", ("smooth", "disk")), Question("edge", ("yes", "no"), "disk")))
    >>> votes.answers, votes.groups
    (('smooth', 'disk', 'yes', 'no'), [(slice(0, 2, None), None), (slice(2, 4, None), 1)])
    """

    questions: tuple[Question, ...]
    kind: Literal["fractions", "counts"] = "fractions"

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", tuple(self.questions))
        if self.kind not in _KINDS:
            raise ValueError(message(f"votes of a kind among {_KINDS}", "", kind=self.kind))
        for what, names in (("questions", [q.name for q in self.questions]), ("answers", self.answers)):
            if not names or len(set(names)) != len(names):
                raise ValueError(message(f"one or more {what}, all distinct", "", **{what: list(names)}))
        known: set[str | None] = {None}
        for question in self.questions:
            if question.parent not in known:
                raise ValueError(
                    message(
                        f"the parent of {question.name!r} among the answers to earlier questions",
                        "Order the questions.",
                        parent=question.parent,
                    )
                )
            known |= set(question.answers)

    @property
    def answers(self) -> tuple[str, ...]:
        """Of all questions, in the order of the logits."""
        return tuple(answer for question in self.questions for answer in question.answers)

    @property
    def groups(self) -> list[tuple[slice, int | None]]:
        """Columns of each question, and the column of its parent."""
        groups, first = [], 0
        for question in self.questions:
            parent = None if question.parent is None else self.answers.index(question.parent)
            groups.append((slice(first, first + len(question.answers)), parent))
            first += len(question.answers)
        return groups

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Votes:
        """Make votes of plain values, as a card keeps them.

        Parameters
        ----------
        content : mapping
            From `dataclasses.asdict`.

        Returns
        -------
        Votes
            Checked.
        """
        return cls(tuple(Question(**question) for question in content["questions"]), content["kind"])


def read_votes(catalog: Catalog, votes: Votes) -> npt.NDArray[np.float32]:
    """Give the votes of every galaxy, checked.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With one column an answer.
    votes : Votes
        Which columns.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_answers). Fractions of a question that was not asked are NaN, see
        `galcnn.catalog.labels.vote_fractions`; a missing count is 0.

    Raises
    ------
    ValueError
        A column is not there, or holds what is no fraction, or no count.
    """
    if votes.kind == "fractions":
        columns = [vote_fractions(catalog, q.answers, parent=q.parent) for q in votes.questions]
        return np.concatenate(columns, axis=1).astype(np.float32)
    counts = vote_columns(catalog, votes.answers)
    counts[np.isnan(counts)] = 0
    wrong = ~(np.isfinite(counts) & (counts >= 0) & (counts == np.round(counts))).all(axis=1)
    refuse_votes(catalog, wrong, "whole numbers of votes", "Say kind = 'fractions' where they are.", counts)
    return counts.astype(np.float32)


Fractions = npt.NDArray[np.float64]


def cumulative_fractions(logits: npt.ArrayLike, votes: Votes) -> Fractions:
    """Turn logits into the share of all people who give each answer.

    Parameters
    ----------
    logits : array-like
        Shape (n, n_answers).
    votes : Votes
        In the order of the logits.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, n_answers): the softmax within each question times the parent's share.
        NaN where a logit is. For a network of counts, whose outputs are the logarithms of
        concentrations, it is the expected share.
    """
    scores = np.asarray(logits, dtype=np.float64)
    shares = np.empty(scores.shape)
    for columns, parent in votes.groups:
        part = np.exp(scores[:, columns] - scores[:, columns].max(axis=1, keepdims=True))
        part /= part.sum(axis=1, keepdims=True)
        shares[:, columns] = part if parent is None else part * shares[:, [parent]]
    return shares


def observed_fractions(observed: npt.ArrayLike, votes: Votes) -> Fractions:
    """Give the share of all people who gave each answer, from votes of either kind.

    NaN for a question that nobody was asked, unless nobody gave the answer before it.
    """
    found = np.array(observed, dtype=np.float64)
    if votes.kind == "fractions":
        return found
    for columns, parent in votes.groups:
        counts = found[:, columns]
        total = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
        if parent is not None:
            share = np.where(found[:, [parent]] == 0, 0.0, share * found[:, [parent]])
        found[:, columns] = share
    return found


def fraction_table(ids: Sequence[str], fractions: Fractions, votes: Votes) -> Table:
    """Lay fractions out as a table.

    Parameters
    ----------
    ids : sequence of str
        One a galaxy.
    fractions : numpy.ndarray
        Shape (n, n_answers).
    votes : Votes
        In the order of the columns.

    Returns
    -------
    astropy.table.Table
        Columns `id` and ``f_<answer>`` for each answer.
    """
    table = Table({"id": np.array(list(ids), dtype=str)})
    for question, (columns, _) in zip(votes.questions, votes.groups, strict=True):
        for answer, values in zip(question.answers, fractions[:, columns].T, strict=True):
            table[f"f_{answer}"] = values
            table[f"f_{answer}"].description = f"share of all people who answer {answer} to {question.name}"
    return table
