"""A class prior, as users type it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galcnn.errors import message
from galcnn.prediction.prediction import log_prior

if TYPE_CHECKING:
    from galcnn.model import TrainedModel

__all__ = ["prior_of"]


def prior_of(text: str, trained: TrainedModel) -> dict[str, float] | None:
    """Read a class prior as users type it.

    Parameters
    ----------
    text : str
        ``as-trained`` (whatever weights and sampling taught), ``catalog`` (frequencies in the
        training set), ``uniform``, or ``elliptical=0.6,spiral=0.4``.
    trained : galcnn.model.TrainedModel
        Its card knows the first two.

    Returns
    -------
    dict of str to float or None
        None for ``as-trained``.

    Raises
    ------
    ValueError
        It cannot be read, or a class is missing.
    """
    if text == "as-trained":
        return None
    if text == "catalog":
        return dict(trained.card.class_prior)
    if text == "uniform":
        return dict.fromkeys(trained.classes, 1 / len(trained.classes))
    try:
        prior = {name: float(value) for name, value in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise ValueError(
            message("a prior: as-trained, catalog, uniform or CLASS=SHARE,CLASS=SHARE", "", prior=text)
        ) from error
    log_prior(prior, trained.classes)
    return prior
