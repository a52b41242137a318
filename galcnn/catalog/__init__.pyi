from .catalog import Catalog as Catalog
from .formats import read_catalog as read_catalog
from .formats import read_table as read_table
from .formats import write_catalog as write_catalog
from .formats import write_table as write_table
from .labels import relabel as relabel
from .matching import cross_match as cross_match
from .matching import join_match as join_match
from .vote_schemas import vote_schema as vote_schema
from .votes import Question as Question
from .votes import Votes as Votes
from .votes import cumulative_fractions as cumulative_fractions
from .votes import fraction_table as fraction_table
from .votes import read_votes as read_votes

__all__ = [
    "Catalog",
    "Question",
    "Votes",
    "cross_match",
    "cumulative_fractions",
    "fraction_table",
    "join_match",
    "read_catalog",
    "read_table",
    "read_votes",
    "relabel",
    "vote_schema",
    "write_catalog",
    "write_table",
]
