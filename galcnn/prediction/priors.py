"""Class priors: the class frequencies for which probabilities hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from galcnn.catalog import read_table
from galcnn.catalog.catalog import as_numbers, as_text
from galcnn.errors import did_you_mean, message
from galcnn.prediction.prediction import log_prior

if TYPE_CHECKING:
    from galcnn.model import TrainedModel

#: Class prior of every command and function, unless another is given.
DEFAULT_PRIOR = "catalog"
#: Class priors with a name.
PRIORS = (DEFAULT_PRIOR, "as-trained", "sqrt", "uniform")

_EXPECTED = f"a prior: {', '.join(PRIORS)}, CLASS=SHARE,... or a table with columns class and share"


def parse_prior(prior: str | Mapping[str, float]) -> str | dict[str, float]:
    """Return the name of a prior, or the shares that a text, a table or a mapping gives."""
    if not isinstance(prior, str):
        return {str(name): float(share) for name, share in prior.items()}
    if prior in PRIORS:
        return prior
    if Path(prior).is_file():
        table = read_table(prior, texts=("class",))
        if not {"class", "share"} <= {*table.colnames}:
            raise ValueError(message(_EXPECTED, "", prior=prior, columns=table.colnames))
        names = [str(name) for name in as_text(table["class"], "class")]
        shares = as_numbers(table["share"], "share").tolist()
    else:
        parts = [part.partition("=") for part in prior.split(",")]
        try:
            names, shares = [name for name, _, _ in parts], [float(share) for _, _, share in parts]
        except ValueError as error:
            remedy = did_you_mean(prior, PRIORS)
            raise ValueError(message(_EXPECTED, remedy, prior=prior)) from error
    if len(set(names)) < len(names):
        raise ValueError(message("each class once in the prior", "", classes=names))
    return dict(zip(names, shares, strict=True))


def prior_of(prior: str | Mapping[str, float], trained: TrainedModel) -> dict[str, float] | None:
    """Return the shares of a prior; None for the prior of the training.

    The card of a model that galcnn did not train may have none: then the default is that of its training.
    """
    card, asked = trained.card, parse_prior(prior)
    complete = bool(card.class_prior and card.trained_prior)
    if asked == "as-trained" or (asked == DEFAULT_PRIOR and not complete):
        return None
    if not complete:
        raise ValueError(message("a model whose card has its class priors", "Use as-trained.", prior=asked))
    if asked == "catalog":
        shares = dict(card.class_prior)
    elif asked == "sqrt":
        shares = sqrt_prior(card.class_prior)
    elif isinstance(asked, str):
        shares = dict.fromkeys(trained.classes, 1.0)
    else:
        shares = asked
    log_prior(shares, trained.classes)
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def sqrt_prior(shares: Mapping[str, float]) -> dict[str, float]:
    """Return shares proportional to the square roots of others: half their logarithm is subtracted."""
    total = sum(share**0.5 for share in shares.values())
    return {name: share**0.5 / total for name, share in shares.items()}
