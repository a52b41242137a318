"""Decision trees of questions, and the catalog columns that hold the votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn._runtime.representation import summary
from galcnn.catalog.catalog import Catalog
from galcnn.catalog.labels import refuse_votes, vote_columns, vote_fractions
from galcnn.errors import message

Kind = Literal["fractions", "conditional", "counts"]


@dataclass(frozen=True)
class Question:
    """A question and its answers.

    Attributes
    ----------
    name : str
        Name of the question.
    answers : tuple of str
        Answers, at least two; with the `suffix` of the votes, the names of their columns.
    parent : str or None
        Answer to an earlier question after which this one is asked; None if it is asked of everyone.
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
    """A decision tree of questions, and the kind of votes that the columns hold.

    Questions form a tree: whether a disk is edge-on is asked only of those who saw a disk.

    Attributes
    ----------
    questions : tuple of Question
        Questions, parents before children; each answer occurs once.
    kind : {"fractions", "conditional", "counts"}
        Kind of the votes: fractions of all people, fractions of those who were asked the question, or counts.
        The first are cumulative: the answers to a question sum to the fraction of its parent. The second, of
        Galaxy Zoo's published tables, sum to 1.
    suffix : str
        End of the names of the columns, such as ``_count``.

    Examples
    --------
    >>> votes = Votes((Question("shape", ("smooth", "disk")), Question("edge", ("yes", "no"), "disk")))
    >>> votes.answers, votes.groups
    (('smooth', 'disk', 'yes', 'no'), [(slice(0, 2, None), None), (slice(2, 4, None), 1)])
    """

    questions: tuple[Question, ...]
    kind: Kind = "fractions"
    suffix: str = ""

    def __repr__(self) -> str:
        trees = [
            f"{one.name}{f' (of {one.parent})' if one.parent else ''}: {' | '.join(one.answers)}"
            for one in self.questions
        ]
        n = f"{len(self.questions)} questions, {len(self.answers)} answers, as {self.kind}"
        return summary("Votes", f"on {n}", "; ".join(trees))

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", tuple(self.questions))
        if self.kind not in get_args(Kind):
            raise ValueError(message(f"votes of a kind among {get_args(Kind)}", "", kind=self.kind))
        for what, names in (("questions", [q.name for q in self.questions]), ("answers", self.answers)):
            if not names or len(set(names)) != len(names):
                raise ValueError(message(f"one or more {what}, all distinct", "", **{what: list(names)}))
        known: set[str | None] = {None}
        for question in self.questions:
            if question.parent not in known:
                raise ValueError(
                    message(
                        f"the parent of {question.name!r} among the answers to earlier questions",
                        "Put that question before this one.",
                        parent=question.parent,
                    )
                )
            known |= set(question.answers)

    @property
    def answers(self) -> tuple[str, ...]:
        """Answers to all questions, in the order of the logits."""
        return tuple(answer for question in self.questions for answer in question.answers)

    @property
    def groups(self) -> list[tuple[slice, int | None]]:
        """Columns of each question as a slice, and the column of its parent answer or None."""
        groups, first = [], 0
        for question in self.questions:
            parent = None if question.parent is None else self.answers.index(question.parent)
            groups.append((slice(first, first + len(question.answers)), parent))
            first += len(question.answers)
        return groups

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Votes:
        """Make votes from a dictionary, as stored in a model card.

        Parameters
        ----------
        content : mapping
            Dictionary from `dataclasses.asdict`.

        Returns
        -------
        Votes
            Checked votes.
        """
        questions = tuple(Question(**question) for question in content["questions"])
        return cls(questions, content["kind"], content.get("suffix", ""))


def read_votes(catalog: Catalog, votes: Votes) -> npt.NDArray[np.float32]:
    """Read and check the votes of every galaxy.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Catalog with one column per answer.
    votes : Votes
        Questions whose columns are read.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_answers): counts, or cumulative fractions. Fractions of a question that was not
        asked are NaN, see `galcnn.catalog.labels.vote_fractions`; a missing count is 0.

    Raises
    ------
    ValueError
        If a column is missing, or holds invalid fractions or counts.
    """
    if votes.kind != "counts":
        conditional, end = votes.kind == "conditional", votes.suffix
        columns = [
            vote_fractions(
                catalog,
                [answer + end for answer in q.answers],
                parent=None if conditional or q.parent is None else q.parent + end,
            )
            for q in votes.questions
        ]
        found = np.concatenate(columns, axis=1)
        for group, parent in votes.groups if conditional else ():
            if parent is not None:  # which is cumulative by now, since parents come first
                found[:, group] *= found[:, [parent]]
        return found.astype(np.float32)
    counts = vote_columns(catalog, [answer + votes.suffix for answer in votes.answers])
    counts[np.isnan(counts)] = 0
    wrong = ~(np.isfinite(counts) & (counts >= 0) & (counts == np.round(counts))).all(axis=1)
    refuse_votes(
        catalog,
        wrong,
        "whole numbers of votes",
        "For fractions, set kind = 'fractions' or 'conditional'.",
        counts,
    )
    return counts.astype(np.float32)


Fractions = npt.NDArray[np.float64]


def cumulative_fractions(logits: npt.ArrayLike, votes: Votes) -> Fractions:
    """Convert logits to the share of all people who give each answer.

    Parameters
    ----------
    logits : array-like
        Logits, shape (n, n_answers).
    votes : Votes
        Questions, in the order of the logits.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, n_answers): softmax within each question times the share of the parent
        answer; NaN where a logit is NaN. For a network of counts, whose outputs are the logarithms
        of Dirichlet concentrations, this is the expected share.
    """
    scores = np.asarray(logits, dtype=np.float64)
    shares = np.empty(scores.shape)
    for columns, parent in votes.groups:
        part = np.exp(scores[:, columns] - scores[:, columns].max(axis=1, keepdims=True))
        part /= part.sum(axis=1, keepdims=True)
        shares[:, columns] = part if parent is None else part * shares[:, [parent]]
    return shares


def observed_fractions(observed: npt.ArrayLike, votes: Votes) -> Fractions:
    """Return the share of all people who gave each answer, from votes of either kind.

    A question without votes is NaN, or 0 if the share of its parent answer is 0.
    """
    found = np.array(observed, dtype=np.float64)
    if votes.kind != "counts":
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
    """Make a table of vote fractions.

    Parameters
    ----------
    ids : sequence of str
        Id of each galaxy.
    fractions : numpy.ndarray
        Fractions, shape (n, n_answers).
    votes : Votes
        Questions, in the order of the columns.

    Returns
    -------
    astropy.table.Table
        Table with the columns `id` and ``f_<answer>`` for each answer.
    """
    table = Table({"id": np.array(list(ids), dtype=str)})
    for question, (columns, _) in zip(votes.questions, votes.groups, strict=True):
        for answer, values in zip(question.answers, fractions[:, columns].T, strict=True):
            table[f"f_{answer}"] = values
            table[f"f_{answer}"].description = f"share of all people who answer {answer} to {question.name}"
    return table
