"""Attacks by name, with settings after a colon, as on the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from galcnn.adversarial.fooling_images import SkyAscent, SkyEvolution
from galcnn.adversarial.margins import Attack, Unit
from galcnn.adversarial.minimal import MinimalPerturbation, SmallestEpsilon
from galcnn.adversarial.pgd import FGSM, PGD
from galcnn.adversarial.universal import UniversalPerturbation
from galcnn.errors import did_you_mean, message
from galcnn.explain.registry import ALL, settings_from

#: Attacks by name, in the order of the documentation.
ATTACKS: dict[str, Any] = {
    "fgsm": FGSM,
    "pgd": PGD,
    "smallest": SmallestEpsilon,
    "minimal": MinimalPerturbation,
    "universal": UniversalPerturbation,
    "sky_ascent": SkyAscent,
    "sky_evolution": SkyEvolution,
}


def attacks_by_name(texts: Sequence[str], *, unit: Unit = "sigma", seed: int = 0) -> list[Attack]:
    """Make attacks from texts such as ``minimal`` or ``pgd:epsilon=2,light=psf,flux=conserved``.

    Parameters
    ----------
    texts : sequence of str
        Names of `ATTACKS`, optionally with settings after a colon (``smallest`` also takes those of
        `PGD`); ``all`` for every attack with its defaults.
    unit : {"sigma", "image"}
        Default unit of the attacks.
    seed : int
        Default seed of attacks with random numbers.

    Returns
    -------
    list of Attack
        Attacks in order.

    Raises
    ------
    ValueError
        If a name or a setting is unknown, or a value is invalid.

    Examples
    --------
    >>> attacks_by_name(["fgsm:epsilon=2", "minimal"], unit="image")[0]
    FGSM(epsilon=2.0, unit='image', lower=None, upper=None)
    """
    attacks: list[Attack] = []
    for text in texts:
        name, _, settings = text.partition(":")
        if (name == ALL and settings) or (name != ALL and name not in ATTACKS):
            remedy = "Settings follow the name of one attack: pgd:epsilon=2." if name == ALL else ""
            raise ValueError(
                message(
                    f"an attack among {', '.join((*ATTACKS, ALL))}",
                    remedy or did_you_mean(name, (*ATTACKS, ALL)),
                    attack=text,
                )
            )
        for one in ATTACKS if name == ALL else [name]:
            attacks.append(_attack(text, ATTACKS[one], settings, {"unit": unit, "seed": seed}))
    return attacks


def _attack(text: str, kind: Any, settings: str, defaults: dict[str, Any]) -> Attack:
    if kind is SmallestEpsilon:  # its settings are those of PGD, and a tolerance
        inner = ",".join(pair for pair in settings.split(",") if not pair.startswith("tolerance="))
        own = ",".join(pair for pair in settings.split(",") if pair.startswith("tolerance="))
        pgd = _attack(text, PGD, inner, defaults | {"start": "image"})
        outer: Attack = SmallestEpsilon(pgd, **settings_from(text, kind, own))  # type: ignore[arg-type]
        return outer
    known = {field.name for field in dataclasses.fields(kind)}
    given = {name: value for name, value in defaults.items() if name in known}
    made: Attack = kind(**(given | settings_from(text, kind, settings)))
    return made
