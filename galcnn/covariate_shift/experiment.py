"""Run a covariate-shift test: simulate, train, classify and report. Interrupted runs are resumed."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.table import QTable, vstack

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import write_table
from galcnn.covariate_shift.report import contrast_table, primary_verdict, score_table, summary
from galcnn.covariate_shift.sample import described, draw_sample, name_at, read_sample
from galcnn.covariate_shift.settings import ShiftSettings
from galcnn.covariate_shift.variants import TRAININGS, best_rate, layer_drift, train_variant, variant_logits
from galcnn.evaluation.intervals import Verdict
from galcnn.experiment import read_settings
from galcnn.experiment.settings import build_record
from galcnn.viewers import save_figure
from galcnn.viewers.plots.shift import accuracy_figure, class_figure, drift_figure

#: Files and folders that a test writes.
_OWN = ("*.ecsv", "*.png", "summary.md", "data", "variants")

#: Variants for which the drift in each layer is measured, in their first training.
_WATCHED = ("none", "batch")


def read_shift(path: str | os.PathLike[str]) -> ShiftSettings:
    """Read the settings of a covariate-shift test.

    Parameters
    ----------
    path : path-like
        TOML file with the fields of `galcnn.covariate_shift.settings.ShiftSettings`; those of network and
        training in sections ``[network]`` and ``[training]``.

    Returns
    -------
    galcnn.covariate_shift.settings.ShiftSettings
        Validated settings.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file does not exist, is not valid TOML, or has an unknown key or an invalid value.
    """
    settings: ShiftSettings = build_record(ShiftSettings, read_settings(path))
    return settings


def run_shift(
    settings: ShiftSettings,
    out: str | os.PathLike[str],
    *,
    jobs: int = 1,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Verdict:
    """Run a covariate-shift test, or resume an interrupted one.

    Parameters
    ----------
    settings : galcnn.covariate_shift.settings.ShiftSettings
        Settings of the test.
    out : path-like
        Output folder: ``scores.ecsv``, ``contrasts.ecsv``, ``drift.ecsv``, ``summary.md``, figures,
        and in ``data`` and ``variants`` intermediate results, from which a run is resumed.
    jobs : int
        Number of trainings at the same time; the CPU cores are divided among them.
    progress : galcnn._runtime.progress.Progress
        Progress bar over simulated sets and trainings.
    overwrite : bool
        If True, delete earlier results in the folder and start again.

    Returns
    -------
    galcnn.evaluation.intervals.Verdict
        Verdict on the primary contrast.

    Raises
    ------
    ValueError
        If the folder holds results of another test.
    """
    folder = Path(out)
    claim = atomic.claim(
        folder, described(settings), what="one with the same test", own=_OWN, overwrite=overwrite
    )
    claim.mark()
    sample = draw_sample(settings, folder / "data", progress=progress)
    trainings = [variant for variant, own in TRAININGS.items() if set(own) & set(settings.variants)]
    rates = [(variant, None) for variant in trainings]
    runs = [(variant, seed) for seed in range(settings.repeats) for variant in trainings]
    with progress("train", len(rates) + len(runs)) as step:
        _work(settings, folder, rates, jobs=jobs, step=step)
        _work(settings, folder, runs, jobs=jobs, step=step)
    logits = {
        variant: np.stack([_load(folder, own, seed)[variant] for seed in range(settings.repeats)])
        for own, brought in TRAININGS.items()
        for variant in brought
        if variant in settings.variants
    }
    logits = {variant: logits[variant] for variant in settings.variants}
    labels = sample.read(name_at("test", settings.test_redshifts[0])).labels
    drifts = [folder / "variants" / f"{variant}-drift.ecsv" for variant in _WATCHED if variant in trainings]
    return _write(folder, settings, logits, labels, drifts)


def _write(
    folder: Path,
    settings: ShiftSettings,
    logits: dict[str, npt.NDArray[np.float32]],
    labels: npt.NDArray[np.int32],
    drifts: list[Path],
) -> Verdict:
    scores, contrasts = score_table(logits, labels, settings), contrast_table(logits, labels, settings)
    primary, redshifts = primary_verdict(logits, labels, settings)
    write_table(scores, folder / "scores.ecsv")
    write_table(contrasts, folder / "contrasts.ecsv")
    save_figure(accuracy_figure(scores, settings.train_redshifts), folder / "accuracy.png")
    save_figure(class_figure(scores, settings.classes), folder / "classes.png")
    if drifts:
        table = vstack([QTable.read(file) for file in drifts])
        write_table(table, folder / "drift.ecsv")
        save_figure(drift_figure(table), folder / "drift.png")
    atomic.write_text(folder / "summary.md", summary(scores, contrasts, primary, redshifts, settings))
    return primary


def _file(folder: Path, variant: str, seed: int | None) -> Path:
    return folder / "variants" / (f"{variant}-rate.json" if seed is None else f"{variant}-seed{seed}.npz")


def _load(folder: Path, variant: str, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    with np.load(_file(folder, variant, seed)) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _work(
    settings: ShiftSettings,
    folder: Path,
    trainings: Sequence[tuple[str, int | None]],
    *,
    jobs: int,
    step: Callable[..., None],
) -> None:
    missing = []
    for job in trainings:
        if _file(folder, *job).exists():
            step()
        else:
            missing.append(job)
    if jobs == 1 or len(missing) < 2:
        for job in missing:
            step(_train(settings, folder, *job))
        return
    # Spawned, never forked: TensorFlow's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, context, _share_cores, (threads,)) as pool:
        futures = [pool.submit(_train, settings, folder, *job) for job in missing]
        try:
            for future in as_completed(futures):
                step(future.result())
        except BaseException:  # a training failed, or the user interrupted: do not start the others
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _share_cores(threads: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _train(settings: ShiftSettings, folder: Path, variant: str, seed: int | None) -> str:
    """Find the learning rate of a variant (no seed) or train it, save the result, and describe it."""
    file, sample = _file(folder, variant, seed), read_sample(settings, folder / "data")
    if seed is None:
        atomic.write_json(file, {"learning_rate": best_rate(variant, sample)})
        return f"{variant}: learning rate"
    rate = json.loads(_file(folder, variant, None).read_text(encoding="utf-8"))["learning_rate"]
    # All variants of a seed use the same galaxies in the same order.
    trained, loss = train_variant(
        variant, sample, rate=rate, seed=seeding.integer(settings.seed, "arm", seed)
    )
    if seed == 0 and variant in _WATCHED:
        table = QTable(rows=[{"variant": variant, **row} for row in layer_drift(trained, sample)])
        write_table(table, folder / "variants" / f"{variant}-drift.ecsv")
    with atomic.writing(file) as temporary:
        np.savez(temporary, allow_pickle=False, **variant_logits(variant, trained, sample))
    return f"{variant}, seed {seed}: validation loss {loss:.3f}"
