"""Adversarial attacks on image files: one FITS file per galaxy, and a table of all results."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.adversarial import Attack, UniversalPerturbation, attack, away_from, visibility
from galcnn.adversarial.perturbation import boxed, prepared_alike
from galcnn.catalog import write_table
from galcnn.catalog.names import LEFT_OUT, file_stems
from galcnn.dataset import InputFiles
from galcnn.dataset.reader import write_left_out
from galcnn.errors import UnreadableImageError, message
from galcnn.layers import read_syntheses, write_syntheses
from galcnn.layers.appending import already_written
from galcnn.model import Target
from galcnn.pipeline.explanations import provenance
from galcnn.prediction import predict

if TYPE_CHECKING:
    from galcnn.cutout import Cutout
    from galcnn.explain import Synthesis
    from galcnn.model import TrainedModel


#: Name of the table of results in the output folder.
ATTACK_TABLE = "attacks.ecsv"
#: Output files of attacks and of a robustness curve; with ``overwrite`` either replaces the other.
OWN = ("*-attack.fits", ATTACK_TABLE, "robustness.ecsv", "answers.ecsv", LEFT_OUT)


_BATCH = 32
#: Largest number of images that a universal perturbation is fitted to.
_MOST_FITTED = 500


@dataclass(frozen=True)
class AttackSettings:
    """Settings of adversarial attacks on files.

    Attributes
    ----------
    attacks : tuple of galcnn.adversarial.Attack
        Attacks, each tried on every galaxy, see `galcnn.adversarial.attacks_by_name`.
    target : str or None
        Class that the attacks aim at, or ``class-class`` for a pair. If None, any class other than
        the predicted one.
    of : str or None
        If given, only galaxies with this predicted class are attacked.
    """

    attacks: tuple[Attack, ...]
    target: str | None = None
    of: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for the provenance.

        Returns
        -------
        dict of str to Any
            Attacks with their settings, target and class.
        """
        named = [[attack.name, asdict(attack) if is_dataclass(attack) else {}] for attack in self.attacks]
        return {"attacks": named, "target": self.target, "of": self.of}


def attack_files(
    trained: TrainedModel,
    files: InputFiles,
    settings: AttackSettings,
    folder: str | os.PathLike[str],
    *,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Table:
    """Run adversarial attacks on image files.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        The images.
    settings : AttackSettings
        Attacks and target. A universal perturbation is fitted to half of the galaxies, at most 500,
        drawn at random by their ids, and tried on all; the column `fitted` marks those it was fitted to.
    folder : path-like
        Output folder for ``<id>-attack.fits`` of each galaxy, see `galcnn.layers.write_syntheses`, and
        for the table, `ATTACK_TABLE`, and for ``left_out.ecsv``, if images cannot be used. Files of the
        same attacks, image and model are kept.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per attacked galaxy.
    overwrite : bool
        If True, discard earlier results in the folder and start again.

    Returns
    -------
    astropy.table.Table
        One row per galaxy and attack, with the id of the galaxy, or ``sky of <id>`` for a blank sky with the
        level and noise of its image: predicted class before and after, `success` (from an independent
        prediction of the changed image), and the measures of `galcnn.adversarial.visibility`. ``meta`` has
        `left_out`: ids of the images that cannot be used, with the reason.

    Raises
    ------
    galcnn.errors.UnreadableImageError, ValueError
        If no file can be read and fits the model, a class is unknown, or no galaxy has the class
        ``settings.of``.
    """
    goal = None if settings.target is None else Target.parse(settings.target, trained.classes)
    if settings.of is not None:
        Target.of_class(settings.of, trained.classes)
    inputs = files.paths.values()
    claim = atomic.claim(folder, what="one of galcnn attack", own=OWN, inputs=inputs, overwrite=overwrite)
    claim.mark()
    run = _Run(trained, files, settings, goal, Path(folder))
    rows: list[dict[str, Any]] = []
    with progress("attack", len(files.paths)) as step:
        for name, syntheses in run.results():
            rows += [run.row(name, made) for made in syntheses]
            step()
    if len(run.left_out) == len(files):
        raise UnreadableImageError(f"No image can be attacked. {next(iter(run.left_out.values()), '')}")
    if not rows:
        raise ValueError(
            message(
                "at least one galaxy with this predicted class",
                "Use another class, --of, or more galaxies.",
                of=settings.of,
            )
        )
    table = Table(rows)
    table.meta = {"model": trained.card.name, "model_sha256": trained.card.model_sha256}
    table.meta["settings"] = json.loads(json.dumps(settings.to_dict()))
    table.meta["left_out"] = dict(run.left_out)
    write_table(table, Path(folder) / ATTACK_TABLE)
    write_left_out(run.left_out, Path(folder))
    return table


def _sky_of(name: str) -> str:
    """Return the id of the blank sky that is made with level and noise of an image, and is not its galaxy."""
    return f"sky of {name}"


class _Run:
    """One run over the files; universal perturbations are fitted when first needed."""

    def __init__(
        self,
        trained: TrainedModel,
        files: InputFiles,
        settings: AttackSettings,
        goal: Target | None,
        folder: Path,
    ) -> None:
        self.trained, self.files, self.settings, self.goal, self.folder = (
            trained,
            files,
            settings,
            goal,
            folder,
        )
        self.stems = file_stems(files.paths)
        self.attacks: tuple[Attack, ...] | None = None
        self.left_out: dict[str, str] = {}
        self.from_sky = {attack.name for attack in settings.attacks if attack.from_sky}
        universal = any(isinstance(attack, UniversalPerturbation) for attack in settings.attacks)
        # Drawn by id, because the order of a catalog may follow the classes.
        drawn = sorted(files.paths, key=lambda name: seeding.uniform(0, "universal", name))
        half = drawn[: min((len(drawn) + 1) // 2, _MOST_FITTED)]
        self.fitted = frozenset(half if universal else ())
        joined = "\n".join(sorted(self.fitted))
        self.fitted_on = hashlib.sha256(joined.encode()).hexdigest() if universal else ""

    def results(self) -> Iterator[tuple[str, tuple[Synthesis, ...]]]:
        names = list(self.files.paths)
        for start in range(0, len(names), _BATCH):
            found: dict[str, tuple[Synthesis, ...] | None] = {}
            for name in names[start : start + _BATCH]:
                try:
                    with self.files.named(name):
                        origin = self._origin(name)
                except (OSError, ValueError) as error:
                    self.left_out[name] = str(error)
                else:
                    found[name] = self._written(name, origin)
            found |= self._made([name for name, made in found.items() if made is None])
            for name, made in found.items():
                if made:
                    yield name, made

    def row(self, name: str, made: Synthesis) -> dict[str, Any]:
        """Return the table row of one result."""
        seen, classes = asdict(visibility(made)), self.trained.classes
        magnitudes = dict(zip(made.bands, seen.pop("magnitudes"), strict=True))
        return {
            "id": _sky_of(name) if made.method in self.from_sky else name,
            "file": self._path(name).name,
            "attack": made.method,
            "settings": json.dumps(dict(made.settings)),
            "target": made.target.name,
            "before": classes[int(np.argmax(made.start_logits))],
            "after": classes[int(np.argmax(made.logits))],
            "success": made.success,
            "fitted": name in self.fitted and made.method == UniversalPerturbation.name,
            **seen,
            **{f"magnitude_{band}": value for band, value in magnitudes.items()},
        }

    def _made(self, names: Sequence[str]) -> dict[str, tuple[Synthesis, ...] | None]:
        kept, cutouts = self._kept(names)
        made: dict[str, tuple[Synthesis, ...] | None] = dict.fromkeys(names)
        if kept:
            if self.attacks is None:
                self.attacks = tuple(self._settled(attack) for attack in self.settings.attacks)
            try:
                results = attack(self.trained, cutouts, attacks=self.attacks, target=self.goal, ids=kept)
            except ValueError as error:  # such as no noise: each is tried alone
                if len(kept) > 1:
                    return {name: one for name in kept for one in self._made([name]).values()}
                self.left_out[kept[0]] = str(error)
                return made
            for name, cutout, syntheses in zip(kept, cutouts, results, strict=True):
                write_syntheses(self._path(name), syntheses, provenance=self._origin(name), wcs=cutout.wcs)
                made[name] = syntheses
        return made

    def _kept(self, names: Sequence[str]) -> tuple[list[str], list[Cutout]]:
        """Read images; keep those that can be used and whose predicted class is ``settings.of``, if given."""
        found: dict[str, Cutout] = {}
        for name, one in self.files.each_prepared(names, self.trained.card.inputs):
            if isinstance(one, Exception):
                self.left_out[name] = str(one)
            else:
                found[name] = one
        if self.settings.of is not None and found:
            answers = predict(self.trained, list(found.values()), prior="as-trained", calibrated=False).best
            wanted = [name for name, a in zip(found, answers, strict=True) if a == self.settings.of]
            found = {name: found[name] for name in wanted}
        return list(found), list(found.values())

    def _settled(self, attack: Attack) -> Attack:
        bounded = boxed(attack, self.trained)
        if not isinstance(bounded, UniversalPerturbation):
            return attack
        names, cutouts = self._kept([name for name in self.files.paths if name in self.fitted])
        if not names:
            raise ValueError(
                message(
                    "galaxies with this predicted class among those that a universal pattern is fitted to",
                    "Use more galaxies.",
                    of=self.settings.of,
                )
            )
        seen, classes = prepared_alike(self.trained, cutouts, names), self.trained.classes
        goals: Target | list[Target]
        if self.goal is None:
            goals = [away_from(classes[i], classes) for i in np.argmax(seen.logits, axis=1)]
        else:
            goals = self.goal
        return bounded.fitted(self.trained.model, seen.images, goals, context=seen.context)

    def _path(self, name: str) -> Path:
        return self.folder / f"{self.stems[name]}-attack.fits"

    def _origin(self, name: str) -> dict[str, Any]:
        asked = {"settings": self.settings.to_dict(), "fitted_on": self.fitted_on}
        return provenance(self.trained, self.files, name) | asked

    def _written(self, name: str, origin: dict[str, Any]) -> tuple[Synthesis, ...] | None:
        path = self._path(name)
        return read_syntheses(path) if already_written(path, origin) else None
