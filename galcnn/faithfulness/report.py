"""Faithfulness report of a model and several attribution methods; interrupted runs are resumed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import QTable

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn._runtime.version import __version__
from galcnn.catalog import write_table
from galcnn.catalog.names import LEFT_OUT, file_stems
from galcnn.cutout import Cutout
from galcnn.dataset.reader import write_left_out
from galcnn.errors import message
from galcnn.evaluation import Score, bootstrap, judge
from galcnn.evaluation.intervals import Verdict
from galcnn.explain import Explainer, Explanation
from galcnn.explain.attribution import Prepared
from galcnn.faithfulness.controls import CONTROLS
from galcnn.faithfulness.criteria import (
    CHECKS,
    CRITERIA,
    SHARED,
    Arrays,
    FaithfulnessSettings,
    Others,
    Subject,
    criterion,
)
from galcnn.faithfulness.localisation import half_light
from galcnn.faithfulness.sample import Galaxies, Sample, maps_of, sample_of
from galcnn.layers import LayerStack
from galcnn.model import Target, TrainedModel, planes_from
from galcnn.prediction.calibration import calibration_of
from galcnn.prediction.logits import prediction_of
from galcnn.viewers import save_figure
from galcnn.viewers.plots.faithfulness import (
    deletion_insertion_figure,
    fragility_figure,
    similarity_figure,
    verdict_figure,
)


@dataclass(frozen=True, eq=False)
class Models:
    """The model whose maps are tested, and other models of the same classes for comparison.

    Attributes
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    seeds : tuple of galcnn.model.TrainedModel
        Models trained alike with other seeds: none, or at least two.
    labels : tuple of galcnn.model.TrainedModel
        Models trained on shuffled labels: none, or at least three.
    """

    trained: TrainedModel
    seeds: tuple[TrainedModel, ...] = ()
    labels: tuple[TrainedModel, ...] = ()

    def __post_init__(self) -> None:
        if len(self.seeds) == 1 or len(self.labels) in (1, 2):
            raise ValueError(
                message(
                    "no or at least two models of other seeds, and no or at least three of shuffled labels",
                    "A standard deviation needs three maps. Give more of --seed-model or --shuffled-model.",
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


_OUTPUTS = ("faithfulness.*", "ranking.ecsv", "randomisation.*", "deletion_insertion.*", "fragility.png")


def faithfulness_report(
    models: Models,
    galaxies: Galaxies,
    out: str | os.PathLike[str],
    *,
    explainers: Sequence[Explainer],
    settings: FaithfulnessSettings | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> QTable:
    """Test whether the maps of several methods are faithful to a model, and write a report.

    Three controls that are not explanations (edges, light, noise) are tested as well: a check that
    these pass too is not informative.

    Parameters
    ----------
    models : Models
        The model, and models for comparison. They are not changed.
    galaxies : Galaxies
        Galaxies that were not used in training.
    out : path-like
        Output folder: ``faithfulness.md`` (recommended methods and verdicts), ``ranking.ecsv``,
        ``faithfulness.ecsv`` and ``faithfulness.png`` (verdicts), ``fragility.png`` (maps before and after
        an attack),
        ``randomisation.ecsv`` and ``.png``, ``deletion_insertion.ecsv`` and ``.png``, ``left_out.ecsv``
        (galaxies without a usable image, if any), ``layers/*.fits`` (maps, and their ratio to the
        standard deviation), and in ``checks`` the values of each galaxy. An interrupted run is resumed;
        methods can be added.
    explainers : sequence of Explainer
        The attribution methods.
    settings : FaithfulnessSettings, optional
        Settings of the checks; the defaults if None.
    progress : galcnn._runtime.progress.Progress
        Progress bar over checks.
    overwrite : bool
        If True, delete earlier results in the folder and start again.

    Returns
    -------
    astropy.table.QTable
        One row per method and criterion: mean over galaxies with its interval, null value, limit and
        verdict.

    Raises
    ------
    ValueError
        If the cutouts do not fit the model, or the folder holds results for another model, other
        galaxies or settings.
    """
    folder, chosen = Path(out), settings or FaithfulnessSettings()
    methods = {_stem(explainer): explainer for explainer in (*explainers, *CONTROLS)}
    names = _names(methods)
    claim = atomic.claim(
        folder,
        _described(models, galaxies, chosen),
        what="one with the same model, galaxies and settings",
        own=(*_OUTPUTS, LEFT_OUT, "checks", "layers"),
        overwrite=overwrite,
    )
    subject = _subject(models, galaxies, chosen)
    found: dict[str, Arrays] = {name: {} for name in names.values()}
    with progress("faithfulness", len(methods) * len(CHECKS) + len(SHARED)) as step:
        for name, make in SHARED.items():
            step(name)
            made = _kept(claim, f"checks/{name}.npz", partial(make, subject), name)
            subject = replace(subject, shared=subject.shared | made)
        for stem, explainer in methods.items():
            make_maps = partial(_maps_by, subject, explainer)
            maps = _kept(claim, f"checks/{stem}/maps.npz", make_maps, "maps").get("maps")
            of_method = replace(subject, maps=maps)
            for name, (check, _) in CHECKS.items():
                step(f"{explainer.name} {name}")
                found[names[stem]] |= _kept(
                    claim, f"checks/{stem}/{name}.npz", partial(check, of_method, explainer), name
                )
    table = verdict_table(found, seed=chosen.seed)
    table.meta |= {"model": models.trained.card.name, "sha256": models.trained.card.model_sha256}
    table.meta |= {"n_galaxies": len(galaxies.ids), "settings": repr(chosen), "galcnn": __version__}
    table.meta["orientations"] = models.trained.orientations
    table.meta["methods"] = {names[stem]: repr(explainer) for stem, explainer in methods.items()}
    write_table(table, folder / "faithfulness.ecsv")
    write_left_out(galaxies.left_out, folder)
    ranking = ranking_table(found, table, seed=chosen.seed)
    write_table(ranking, folder / "ranking.ecsv")
    atomic.write_text(folder / "faithfulness.md", summary(table, ranking))
    recommended = [str(row["method"]) for row in ranking if row["recommended"]]
    save_figure(verdict_figure(table, recommended=recommended), folder / "faithfulness.png")
    for name, own, figure in (
        ("randomisation", randomisation_table(found, seed=chosen.seed), similarity_figure),
        ("deletion_insertion", curve_table(found), deletion_insertion_figure),
    ):
        if len(own):
            write_table(own, folder / f"{name}.ecsv")
            save_figure(figure(own), folder / f"{name}.png")
    shown = [name for name in found if "fragility_before" in found[name] and name not in _NOT_MAPS]
    if shown and chosen.keep_layers and "images" in subject.shared:
        changed = fragility_figure(
            galaxies.ids,
            (subject.sample.images, subject.shared["images"]),
            {name: (found[name]["fragility_before"], found[name]["fragility_after"]) for name in shown},
            share=chosen.attack.share,
        )
        save_figure(changed, folder / "fragility.png")
    write_layers(
        folder / "layers",
        models.trained,
        galaxies.cutouts[: chosen.keep_layers],
        galaxies.ids[: chosen.keep_layers],
        subject.sample.targets,
        found,
    )
    return table


def _subject(models: Models, galaxies: Galaxies, settings: FaithfulnessSettings) -> Subject:
    def seen(trained: TrainedModel) -> Sample:
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


def _maps_by(subject: Subject, explainer: Explainer) -> Arrays:
    return {"maps": maps_of(subject.network, explainer, subject.sample)}


def _kept(claim: atomic.Claim, file: str, make: Callable[[], Arrays], name: str) -> Arrays:
    """Load the arrays of an earlier run, or compute and save them; a ValueError is saved as text."""
    if claim.written(file):
        with np.load(claim.folder / file) as arrays:
            return {name: arrays[name] for name in arrays.files}
    try:
        made = make()
    except ValueError as error:
        made = {f"{name}_refused": np.array(str(error))}
    claim.mark()
    with atomic.writing(claim.folder / file) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **made)  # type: ignore[arg-type]  # no array is named allow_pickle
    return made


def _stem(explainer: Explainer) -> str:
    """Return the folder name of a method: its name, and a hash of its settings."""
    if not is_dataclass(explainer) or not (own := asdict(explainer)):
        return explainer.name
    return f"{explainer.name}-{hashlib.sha256(repr(sorted(own.items())).encode()).hexdigest()[:8]}"


def _names(methods: Mapping[str, Explainer]) -> dict[str, str]:
    """Return the names of methods in tables, with a hash of their settings if two have the same name."""
    several = Counter(explainer.name for explainer in methods.values())
    return {stem: one.name if several[one.name] == 1 else stem for stem, one in methods.items()}


def _described(models: Models, galaxies: Galaxies, settings: FaithfulnessSettings) -> str:
    hashes = [
        [(model.card.model_sha256, model.orientations) for model in those]
        for those in ((models.trained,), models.seeds, models.labels)
    ]
    pixels = hashlib.sha256()
    for cutout in galaxies.cutouts:
        pixels.update(np.ascontiguousarray(cutout.flux).tobytes())
    return repr((__version__, hashes, galaxies.ids, pixels.hexdigest(), settings))


Found = Mapping[str, Arrays]

_COLUMNS = (
    "method",
    "criterion",
    "value",
    "low",
    "high",
    "n",
    "null",
    "limit",
    "passes",
    "verdict",
    "reason",
)

_VERDICTS = (
    "Means over galaxies with 95 % bootstrap intervals. A method **passes** a criterion if the "
    "whole interval is on the required side of the limit, *fails* if no part of it is, and is undecided "
    "otherwise. Methods named control_... explain nothing: edges of the image, its light, random numbers."
)


#: Criterion that ranks the methods: brightness needs no network, and random rankings are easy to surpass.
_RANKED_BY = "deletion-light"
_WORDS = ("passes", "fails", "undecided")
_NOT_MAPS = frozenset(one.name for one in CONTROLS)

_CAUTION = (
    "Methods are ranked by deletion-light, the criterion that asks whether the score depends on the pixels "
    "that a map names, and that a ranking by brightness alone cannot pass. Differences from the first are "
    "paired, galaxy by galaxy. A recommended method may fail other criteria."
)
#: What to keep in mind when a method fails a criterion.
_CAUTIONS = {
    "randomisation": "its |map| is similar for a random network, so where it is strong says little by itself",
    "insertion-light": "on blank sky, the pixels it names bring the class back no faster than the brightest",
    "energy": "it is not concentrated on the galaxy",
    "pointing": "its peak is often off the galaxy",
    "equivariance": "it changes when the galaxy is rotated or mirrored",
    "sensitivity": "it changes within one sigma of noise",
    "fragility": "its top pixels can be moved by an attack within the noise",
    "significance": "most of it is not significant relative to its own noise",
}


def verdict_table(found: Found, *, seed: int = 0) -> QTable:
    """Return the verdicts on every method by every criterion with values."""
    rows: list[tuple[Any, ...]] = []
    for method, arrays in found.items():
        for check, (_, names) in CHECKS.items():
            refused = arrays.get(f"{check}_refused")
            for name in names:
                asked = criterion(name)
                if name in arrays:
                    said = judge(arrays[name], asked, seed=seed)
                elif refused is None or name in ("significance-seeds", "significance-labels"):
                    continue  # not requested: there are no other models
                else:
                    said = Verdict("not judged", str(refused))
                score = said.score or Score(np.nan, np.nan, np.nan, 0)
                side = "above" if asked.above else "below"
                rows.append(
                    (method, name, *astuple(score), asked.null, asked.limit, side, said.word, said.text)
                )
    return QTable(rows=rows, names=_COLUMNS)


def ranking_table(found: Found, table: QTable, *, seed: int = 0) -> QTable:
    """Rank the methods by how much better than brightness they order the pixels for deletion.

    Parameters
    ----------
    found : mapping of str to mapping of str to numpy.ndarray
        Values of each galaxy, by method and criterion.
    table : astropy.table.QTable
        Verdicts, from `verdict_table`.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        One row per method, the best first: mean of `deletion-light` and its interval; `behind`, the mean
        paired difference from the first, with its interval; the names of the criteria passed and failed;
        and `recommended`: the interval of `deletion-light` is above 0, and that of `behind` includes 0.
    """
    asked = criterion(_RANKED_BY)
    scores = {
        name: verdict.score
        for name, arrays in found.items()
        if name not in _NOT_MAPS
        and _RANKED_BY in arrays
        and (verdict := judge(arrays[_RANKED_BY], asked, seed=seed)).score is not None
    }
    order = sorted(scores, key=lambda name: -scores[name].value)
    rows = []
    for name in order:
        values, behind = found[name][_RANKED_BY], Score(0.0, 0.0, 0.0, 0)
        if name != order[0]:
            behind = judge(found[order[0]][_RANKED_BY] - values, asked, seed=seed).score or behind
        own = table[np.asarray(table["method"]) == name]
        words = {word: [str(row["criterion"]) for row in own if row["verdict"] == word] for word in _WORDS}
        score = scores[name]
        assert score is not None  # for the type checker
        good = bool(score.low > asked.limit and behind.low <= 0)
        lists = [", ".join(words[word]) for word in _WORDS]
        rows.append((name, *astuple(score)[:3], *astuple(behind)[:3], *lists, good))
    names = ("method", "value", "low", "high", "behind", "behind_low", "behind_high", *_WORDS, "recommended")
    return QTable(rows=rows, names=names) if rows else QTable(names=names, dtype=[str] * len(names))


def randomisation_table(found: Found, *, seed: int = 0) -> QTable:
    """Return the similarities of the randomisation check, with bootstrap intervals, by stage."""
    rows = []
    for method, arrays in found.items():
        for mode in ("cascading", "independent"):
            for measure in ("rank", "signed_rank", "ssim", "signed_ssim"):
                values = arrays.get(f"{mode}_{measure}")
                if values is None:
                    continue
                own = values[:, np.isfinite(values).all(axis=0)]
                if own.shape[1] < 2:
                    continue
                figures = bootstrap(
                    partial(_means, own), np.zeros(own.shape[1], dtype=int), seed=seed, n_bootstrap=500
                )
                for stage, *figure in zip(arrays["stages"], *figures, strict=True):
                    rows.append((method, mode, measure, str(stage), *figure, own.shape[1]))
    names = ("method", "mode", "measure", "stage", "value", "low", "high", "n")
    return QTable(rows=rows, names=names) if rows else QTable()


def curve_table(found: Found) -> QTable:
    """Return the mean deletion and insertion curves as a table."""
    rows = []
    for method, arrays in found.items():
        if "fractions" not in arrays:
            continue
        for what in ("deletion", "insertion"):
            for order in ("method", "random", "light"):
                curve = arrays[f"{what}_{order}_curve"].mean(axis=0)
                rows += [
                    (method, what, order, float(x), float(y))
                    for x, y in zip(arrays["fractions"], curve, strict=True)
                ]
    names = ("method", "curve", "order", "fraction", "score")
    return QTable(rows=rows, names=names) if rows else QTable()


def recommendation(ranking: QTable) -> str:
    """Return a sentence on the methods that are recommended for a model."""
    good = [row for row in ranking if row["recommended"]]
    if not len(ranking):
        return f"No method is recommended: none was judged by {_RANKED_BY}."
    if not good:
        return (
            "No method is recommended: none is shown to order the pixels better than their brightness does."
        )
    names = " and ".join(str(row["method"]) for row in good)
    first = f"{good[0]['value']:+.2f} [{good[0]['low']:+.2f}, {good[0]['high']:+.2f}]"
    also = " (no difference between these is shown)" if len(good) > 1 else ""
    return (
        f"Recommended for this model: **{names}**{also}. By {_RANKED_BY}, the score falls faster when the "
        f"pixels go in the order of this map than in that of brightness: {first}."
    )


def _ranking_lines(table: QTable, ranking: QTable) -> list[str]:
    """Return the lines of ``faithfulness.md`` on the ranking: what is recommended, and why."""
    lines = ["## What is recommended", "", recommendation(ranking), ""]
    lines += [
        "| | method | deletion-light | behind the first | passes | fails | undecided |",
        "|---" * 7 + "|",
    ]
    for place, row in enumerate(ranking, start=1):
        value = f"{row['value']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
        behind = (
            f"{row['behind']:.2f} [{row['behind_low']:.2f}, {row['behind_high']:.2f}]" if place > 1 else ""
        )
        name = f"**{row['method']}**" if row["recommended"] else str(row["method"])
        lists = " | ".join(str(row[word]) for word in _WORDS)
        lines.append(f"| {place} | {name} | {value} | {behind} | {lists} |")
    lines += ["", _CAUTION, ""]
    for row in ranking:
        failed = {name for name in str(row["fails"]).split(", ") if name in _CAUTIONS}
        if row["recommended"] and failed:
            words = "; ".join(_CAUTIONS[name] for name in _CAUTIONS if name in failed)
            lines += [f"- Keep in mind of {row['method']}: {words}."]
    refused = {str(row["method"]) for row in table} - set(ranking["method"]) - _NOT_MAPS
    if refused:
        lines += [f"- Not ranked, since not judged: {', '.join(sorted(refused))}."]
    return [*lines, ""]


def summary(table: QTable, ranking: QTable) -> str:
    """Return the text of ``faithfulness.md``."""
    methods = list(dict.fromkeys(str(name) for name in table["method"]))
    asked = [one for one in CRITERIA if one.name in set(table["criterion"])]
    cells = {(str(row["method"]), str(row["criterion"])): row for row in table}
    lines = [
        "# Are the maps faithful to the model?",
        "",
        *_ranking_lines(table, ranking),
        "## Verdicts",
        "",
        f"{table.meta.get('model', 'model')}, {table.meta.get('n_galaxies', '?')} galaxies. {_VERDICTS}",
        *_of_orientations(table.meta.get("orientations")),
        "",
        "| criterion | " + " | ".join(methods) + " |",
        "|---|" + "---|" * len(methods),
    ]
    for one in asked:
        shown = [_cell(cells.get((method, one.name))) for method in methods]
        lines.append(f"| {one.name} {'>' if one.above else '<'} {one.limit:g} | " + " | ".join(shown) + " |")
    lines += ["", "## Criteria", ""]
    lines += [
        f"- **{one.name}**: {one.statistic}. Null value {one.null:.3g}; passes "
        f"{'above' if one.above else 'below'} {one.limit:g}."
        for one in asked
    ]
    reasons = {
        (str(row["method"]), str(row["reason"])): None for row in table if row["verdict"] == "not judged"
    }
    if reasons:
        lines += ["", "## Not judged", ""]
        lines += [f"- {method}: {reason}" for method, reason in reasons]
    return "\n".join([*lines, ""])


def _of_orientations(count: int | None) -> tuple[str, ...]:
    if count is None:
        return ()
    orientations = "one orientation" if count == 1 else f"the mean of {count} orientations"
    return ("", f"Maps and scores are those of {orientations} of each image.")


def _means(values: npt.NDArray[np.float64], chosen: npt.NDArray[np.int_]) -> npt.NDArray[np.float64]:
    means: npt.NDArray[np.float64] = values[:, chosen].mean(axis=1)
    return means


def _cell(row: Any) -> str:
    if row is None:
        return ""
    word = str(row["verdict"])
    if word == "not judged":
        return "-"
    figures = f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    return {"passes": f"**passes** {figures}", "fails": f"*fails* {figures}"}.get(word, f"{word} {figures}")


#: Criterion -> its part of the name of a layer.
_LAYER_WORDS = {"significance": "noise", "significance-seeds": "seeds", "significance-labels": "labels"}


def write_layers(
    folder: Path,
    trained: TrainedModel,
    cutouts: Sequence[Cutout],
    ids: Sequence[str],
    targets: Sequence[Target],
    found: Mapping[str, Mapping[str, npt.NDArray[np.floating]]],
) -> list[Path]:
    """Write maps, their ratio to the standard deviation, and adjusted p-values, one file per galaxy."""
    if not cutouts:
        return []
    seen = Prepared.of(trained, cutouts, ids=ids)
    prediction = prediction_of(trained, ids, seen.logits, calibration=calibration_of(trained))
    scores = np.sum(seen.logits * np.array([target.weights for target in targets[: len(cutouts)]]), axis=1)
    provenance = {"model": trained.card.name, "model_sha256": trained.card.model_sha256}
    stems = file_stems(ids)
    files = []
    for row, (galaxy, cutout) in enumerate(zip(ids, cutouts, strict=True)):
        layers = []
        for method, arrays in found.items():
            for name, word in _LAYER_WORDS.items():
                if f"{name}_map" not in arrays:
                    continue
                for part, prefix in (("map", ""), ("ratio", f"t_{word}_"), ("q", f"q_{word}_")):
                    if part == "map" and word == "labels":
                        continue  # the same map as for "noise"
                    prefix = "mean_" if part == "map" and word == "seeds" else prefix
                    planes = planes_from(arrays[f"{name}_{part}"][row : row + 1])[0]
                    one = len(planes) < len(cutout.bands)
                    mask = cutout.mask.all(axis=0, keepdims=True) if one else cutout.mask
                    layers.append(
                        Explanation(
                            np.where(mask, np.float32(np.nan), planes),
                            ("all",) if one else cutout.bands,
                            method=prefix + method,
                            target=targets[row],
                            wrt="stretched",
                            unit="",
                            score=float(scores[row]),
                        )
                    )
        files.append(folder / f"{stems[galaxy]}-layers.fits")
        LayerStack(cutout, prediction.select([row]), tuple(layers), provenance).write(files[-1])
    return files
