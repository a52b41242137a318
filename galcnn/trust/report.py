"""One report of a model and its methods: which maps can be trusted. It goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable

from galcnn import atomic
from galcnn._runtime.version import __version__
from galcnn.catalog import write_table
from galcnn.errors import message
from galcnn.explain import Explainer
from galcnn.model import TrainedModel
from galcnn.progress import Progress, silent
from galcnn.trust.checks import CHECKS, Arrays, Others, Subject
from galcnn.trust.controls import CONTROLS
from galcnn.trust.placement import half_light
from galcnn.trust.sample import Galaxies, sample_of
from galcnn.trust.settings import TrustSettings
from galcnn.trust.summary import curve_table, randomisation_table, summary, verdict_table
from galcnn.trust.written import write_layers
from galcnn.viewers.figures import save_figure
from galcnn.viewers.trust_figures import removal_figure, similarity_figure, verdict_figure

__all__ = ["Models", "trust_report"]


@dataclass(frozen=True, eq=False)
class Models:
    """The model whose maps are tested, and others of the same classes to compare with.

    Attributes
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    seeds : tuple of galcnn.model.TrainedModel
        Trained alike with other seeds; two or more.
    labels : tuple of galcnn.model.TrainedModel
        Trained on shuffled labels; three or more.
    """

    trained: TrainedModel
    seeds: tuple[TrainedModel, ...] = ()
    labels: tuple[TrainedModel, ...] = ()

    def __post_init__(self) -> None:
        if len(self.seeds) == 1 or len(self.labels) in (1, 2):
            raise ValueError(
                message(
                    "two or more other seeds, three or more models of shuffled labels",
                    "A scatter needs three maps.",
                    seeds=len(self.seeds),
                    labels=len(self.labels),
                )
            )
        for other in (*self.seeds, *self.labels):
            if other.classes != self.trained.classes:
                raise ValueError(
                    message(
                        f"models of {self.trained.classes}", "", classes=other.classes, model=other.card.name
                    )
                )


def trust_report(
    models: Models,
    galaxies: Galaxies,
    out: str | os.PathLike[str],
    *,
    explainers: Sequence[Explainer],
    settings: TrustSettings | None = None,
    progress: Progress = silent,
) -> QTable:
    """Test the maps of a model, method by method, and say which can be trusted.

    Three controls that are no explanations (edges, light, noise) are tested beside them: checks
    that passed these would show nothing.

    Parameters
    ----------
    models : Models
        The model; left as it is.
    galaxies : Galaxies
        That it was not trained on.
    out : path-like
        Folder: ``trust.ecsv``, ``trust.md`` and ``trust.png`` (verdicts), ``randomisation.ecsv``
        and ``.png``, ``removal.ecsv`` and ``.png``, ``layers/*.fits`` (maps over their scatter), and
        in ``checks`` the values of each galaxy. A run that was stopped goes on; methods may be
        added.
    explainers : sequence of Explainer
        The methods.
    settings : TrustSettings, optional
        The defaults when not given.
    progress : galcnn.progress.Progress
        Shows checks.

    Returns
    -------
    astropy.table.QTable
        A row a method and criterion: mean over galaxies with its interval, null, limit, verdict.

    Raises
    ------
    ValueError
        Cutouts do not fit the model, or the folder is of another model, sample or settings.
    """
    folder, chosen = Path(out), settings or TrustSettings()
    methods = {_stem(explainer): explainer for explainer in (*explainers, *CONTROLS)}
    names = _names(methods)
    mark = atomic.claim(
        folder, ".trust", _described(models, galaxies, chosen), what="the same model, galaxies and settings"
    )
    subject = _subject(models, galaxies, chosen)
    found: dict[str, Arrays] = {name: {} for name in names.values()}
    with progress("trust", len(methods) * len(CHECKS) + 2) as step:
        shared: Arrays = {}
        for name, make in (("attack", subject.attacked), ("references", subject.references)):
            step(name)
            shared |= _kept(folder / "checks" / f"{name}.npz", make, mark, name)
        for stem, explainer in methods.items():
            for name, (check, _) in CHECKS.items():
                step(f"{explainer.name} {name}")
                found[names[stem]] |= _kept(
                    folder / "checks" / stem / f"{name}.npz",
                    partial(check, subject, explainer, shared),
                    mark,
                    name,
                )
    table = verdict_table(found, seed=chosen.seed)
    table.meta |= {"model": models.trained.card.name, "sha256": models.trained.card.model_sha256}
    table.meta |= {"n_galaxies": len(galaxies.ids), "settings": repr(chosen), "galcnn": __version__}
    table.meta["methods"] = {names[stem]: repr(explainer) for stem, explainer in methods.items()}
    write_table(table, folder / "trust.ecsv")
    atomic.write_text(folder / "trust.md", summary(table))
    save_figure(verdict_figure(table), folder / "trust.png")
    for name, own, figure in (
        ("randomisation", randomisation_table(found, seed=chosen.seed), similarity_figure),
        ("removal", curve_table(found), removal_figure),
    ):
        if len(own):
            write_table(own, folder / f"{name}.ecsv")
            save_figure(figure(own), folder / f"{name}.png")
    kept = galaxies.cutouts[: chosen.layers], galaxies.ids[: chosen.layers]
    write_layers(folder / "layers", models.trained, kept, subject.sample.targets, found)
    return table


def _subject(models: Models, galaxies: Galaxies, settings: TrustSettings) -> Subject:
    def seen(trained: TrainedModel) -> Any:
        return sample_of(trained, galaxies.cutouts, ids=galaxies.ids, target=settings.target)

    sample = seen(models.trained)

    def others(those: Sequence[TrainedModel]) -> Others:
        return tuple((other.network, replace(seen(other), targets=sample.targets)) for other in those)

    half = tuple(
        half_light(cutout, own) for cutout, own in zip(galaxies.cutouts, sample.regions, strict=True)
    )
    return Subject(
        models.trained.network, sample, half, settings, others(models.seeds), others(models.labels)
    )


def _kept(path: Path, make: Callable[[], Arrays], mark: Callable[[], None], name: str) -> Arrays:
    """What an earlier run has written, or else make it; a method may refuse, and its reason is kept."""
    if path.exists():
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}
    try:
        made = make()
    except ValueError as error:
        made = {f"{name}_refused": np.array(str(error))}
    mark()
    with atomic.writing(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **made)  # type: ignore[arg-type]  # no array is named allow_pickle
    return made


def _stem(explainer: Explainer) -> str:
    """A folder's name: the method, and what its settings are."""
    if not is_dataclass(explainer) or not (own := asdict(explainer)):
        return explainer.name
    return f"{explainer.name}-{hashlib.sha256(repr(sorted(own.items())).encode()).hexdigest()[:8]}"


def _names(methods: Mapping[str, Explainer]) -> dict[str, str]:
    """What a method is called in tables: its name, or with its settings' hash where two have one name."""
    several = Counter(explainer.name for explainer in methods.values())
    return {stem: one.name if several[one.name] == 1 else stem for stem, one in methods.items()}


def _described(models: Models, galaxies: Galaxies, settings: TrustSettings) -> str:
    hashes = [
        [model.card.model_sha256 for model in those]
        for those in ((models.trained,), models.seeds, models.labels)
    ]
    pixels = hashlib.sha256()
    for cutout in galaxies.cutouts:
        pixels.update(np.ascontiguousarray(cutout.flux).tobytes())
    return repr((__version__, hashes, galaxies.ids, pixels.hexdigest(), settings))
