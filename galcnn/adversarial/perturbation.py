"""Run attacks of a trained model on cutouts, and check their success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.adversarial.fooling_images import confidence_odds
from galcnn.adversarial.margins import Attack, log_odds, margins
from galcnn.adversarial.minimal import SmallestEpsilon
from galcnn.adversarial.pgd import PGD
from galcnn.adversarial.registry import attacks_by_name
from galcnn.cutout import Cutout
from galcnn.errors import message, wrong_type
from galcnn.explain import Synthesis
from galcnn.explain.attribution import Prepared
from galcnn.explain.baselines import baseline_images, sky_level
from galcnn.model import Target, TrainedModel, images_from, planes_from, prepare
from galcnn.model.bundle import AnyModel, as_trained
from galcnn.model.forward import outputs
from galcnn.model.inputs import cutouts_like
from galcnn.model.target import AnyTarget, as_targets
from galcnn.photometry import DISPLAY

#: Range of values of 8-bit pictures.
_PICTURE = (0.0, 255.0)


Images = npt.NDArray[np.float32]
#: Attacks, or their names.
AnyAttacks = Attack | str | Sequence[Attack | str]


def away_from(name: str, classes: Sequence[str]) -> Target:
    """Make a target that is reached by any class but one.

    Parameters
    ----------
    name : str
        Name of the class to be avoided.
    classes : sequence of str
        Classes of the model, in its order.

    Returns
    -------
    Target
        Target with weight -1 on `name` and 0 on the others.

    Examples
    --------
    >>> away_from("spiral", ("elliptical", "spiral"))
    Target(name='not spiral', weights=(0.0, -1.0))
    """
    weights = Target.of_class(name, classes).weights
    return Target(f"not {name}", tuple(-weight or 0.0 for weight in weights))


def attack(
    model: AnyModel,
    cutouts: Any,
    *,
    attacks: AnyAttacks,
    target: AnyTarget | Sequence[AnyTarget] | None = None,
    ids: Sequence[str] | None = None,
) -> list[tuple[Synthesis, ...]]:
    """Run attacks on cutouts and check their success.

    Attacks change the flux (or display values) of the cutouts. The results are rounded to float32, as in
    FITS files, and classified again, one by one.

    Parameters
    ----------
    model : galcnn.model.TrainedModel or path-like
        Model to be attacked, or its folder; it is not changed.
    cutouts : galcnn.cutout.Cutout, path-like, NDData, HDUList or numpy.ndarray, or several
        One or more images in the bands, unit and shape of the model, see `galcnn.model.prepare`. An array
        has the bands first, see `galcnn.files.as_cutout`.
    attacks : str or Attack, or sequence of them
        Attacks, or their names, see `attacks_by_name`. For pictures (display values), an attack without
        bounds gets the bounds 0 and 255.
    target : str, int or Target, or sequence of them, optional
        One target for all cutouts, or one per cutout: class name, class number or `Target`. By default
        any class other than the most probable one of the cutout, or of the blank sky for attacks that
        start from it.
    ids : sequence of str, optional
        Ids of the cutouts, which key the random streams; row numbers by default.

    Returns
    -------
    list of tuple of Synthesis
        For each cutout, one synthesis per attack, in order. Masked pixels keep their values.

    Raises
    ------
    TypeError
        If an argument has a type that is not accepted; the text says which are.
    ValueError
        If a cutout or target does not fit, or an attack needs noise or a PSF that is not known.
    """
    trained, several = as_trained(model), _attacks(attacks)
    fitting = [prepare(cutout, trained.card.inputs) for cutout in cutouts_like(cutouts, trained.card.inputs)]
    names = [str(name) for name in (range(len(fitting)) if ids is None else ids)]
    targets = as_targets(target, trained.classes, len(fitting))
    seen = prepared_alike(trained, fitting, names)
    before = _logits(trained, seen.images)
    columns = [_attacked(seen, before, boxed(one, trained), targets) for one in several]
    return [tuple(row) for row in zip(*columns, strict=True)] if columns else [() for _ in fitting]


def _attacks(attacks: AnyAttacks) -> list[Attack]:
    several = attacks if isinstance(attacks, Sequence) and not isinstance(attacks, str) else [attacks]
    found: list[Attack] = []
    for one in several:
        if isinstance(one, str):
            found += attacks_by_name([one])
        elif callable(one) and hasattr(one, "from_sky") and not isinstance(one, type):
            found.append(one)
        else:
            raise wrong_type("an attack or its name, or several: 'pgd', FGSM(0.5) ...", attack=one)
    return found


def prepared_alike(trained: TrainedModel, cutouts: Sequence[Cutout], ids: Sequence[str]) -> Prepared:
    """Prepare cutouts for attacks; the noise must be known for all of them or for none."""
    with_sigma = sum(cutout.sigma is not None for cutout in cutouts)
    if 0 < with_sigma < len(cutouts):
        raise ValueError(
            message(
                "cutouts all with sigma, or all without",
                "Attack them separately.",
                with_sigma=with_sigma,
                n=len(cutouts),
            )
        )
    return Prepared.of(trained, cutouts, ids=ids)


def boxed(attack: Attack, trained: TrainedModel) -> Attack:
    """Set the bounds of an attack on pictures to 0 and 255, if it has none."""
    if trained.card.inputs.unit != str(DISPLAY):
        return attack
    if isinstance(attack, SmallestEpsilon):
        bounds = boxed(attack.pgd, trained)
        return replace(attack, pgd=bounds) if isinstance(bounds, PGD) else attack
    if getattr(attack, "lower", 0) is None and getattr(attack, "upper", 0) is None:
        changed: Attack = replace(attack, lower=_PICTURE[0], upper=_PICTURE[1])  # type: ignore[type-var]
        return changed
    return attack


def _attacked(
    seen: Prepared,
    before: npt.NDArray[np.float32],
    attack: Attack,
    targets: Sequence[Target] | None,
) -> list[Synthesis]:
    """Run one attack; `before` are the logits of the cutouts."""
    trained = seen.trained
    if attack.from_sky:
        seen = _skies(seen, attack)
        before = _logits(trained, seen.images)
    chosen = _chosen(targets, before, trained.classes)
    made = attack(trained.model, seen.images, chosen, context=seen.context)
    changed = [
        replace(cutout, flux=np.where(cutout.mask, cutout.flux, planes))
        for cutout, planes in zip(seen.cutouts, planes_from(made), strict=True)
    ]
    after = _logits(trained, images_from(changed))
    weights = np.array([target.weights for target in chosen])
    if attack.confidence > 0.5:
        success = log_odds(after, weights) >= confidence_odds(attack.confidence)
    else:
        success = margins(after, weights) > 0
    settings: dict[str, Any] = asdict(attack) if is_dataclass(attack) and not isinstance(attack, type) else {}
    settings.pop("pattern", None)  # of a fixed perturbation; it equals the difference of the images
    seed = settings.pop("seed", None)
    return [
        Synthesis(
            end.flux,
            start.flux,
            start.bands,
            attack.name,
            target,
            "flux",
            str(start.unit),
            float(new @ weight),
            float(old @ weight),
            bool(won),
            tuple(new.tolist()),
            tuple(old.tolist()),
            settings,
            seed,
            sigma=start.sigma,
        )
        for start, end, target, weight, old, new, won in zip(
            seen.cutouts, changed, chosen, weights, before, after, success, strict=True
        )
    ]


def _skies(seen: Prepared, attack: Attack) -> Prepared:
    """Replace cutouts by blank skies with the level and noise of the frame of each image."""
    images, context = seen.images, seen.context
    seed = int(getattr(attack, "seed", 0))
    skies = baseline_images("sky", images, context=context, blur=0, seed=seed).astype(np.float32)
    known = context.sigma is not None
    noise = np.broadcast_to(sky_level(images, context)[1], images.shape).astype(np.float32)
    low, high = getattr(attack, "lower", None), getattr(attack, "upper", None)
    if low is not None or high is not None:
        skies = np.clip(skies, low, high)
    made = [
        replace(
            cutout,
            flux=np.where(cutout.mask, cutout.flux, sky),
            sigma=np.where(cutout.mask, cutout.sigma, sigma) if cutout.sigma is not None else None,
        )
        for cutout, sky, sigma in zip(seen.cutouts, planes_from(skies), planes_from(noise), strict=True)
    ]
    blank = replace(context, sigma=noise if known else None)
    return replace(seen, cutouts=tuple(made), images=images_from(made), context=blank)


def _logits(trained: TrainedModel, images: Images) -> npt.NDArray[np.float32]:
    """Return the logits of each image, run one by one and not with the graphs of the attacks."""
    return np.concatenate([outputs(trained.model, images[i : i + 1]) for i in range(len(images))])


def _chosen(
    targets: Sequence[Target] | None, logits: npt.NDArray[np.float32], classes: Sequence[str]
) -> list[Target]:
    if targets is None:
        return [away_from(classes[i], classes) for i in np.argmax(logits, axis=1)]
    return list(targets)
