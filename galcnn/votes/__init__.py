"""Votes: the questions that people were asked of a galaxy, and what share of them gave each answer."""

from galcnn.votes.fractions import cumulative_fractions, fraction_table, observed_fractions
from galcnn.votes.questions import Question, Votes, read_votes

__all__ = [
    "Question",
    "Votes",
    "cumulative_fractions",
    "fraction_table",
    "observed_fractions",
    "read_votes",
]
