"""galcnn train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from galcnn._runtime import atomic
from galcnn.cli import options


@click.command(name="train", cls=options.Command)
@click.argument("experiment", required=False, metavar="[EXPERIMENT.toml | card.json]")
@options.setting("--catalog", "data.catalog", "FILE")
@options.setting("--id", "data.id", "C")
@options.setting("--label", "data.label", "C")
@options.setting("--image-column", "data.image_column", "C")
@options.setting("--images", "data.images", "DIR")
@options.setting("--merge", "data.merge", "NEW=OLD,OLD", multiple=True)
@options.setting("--drop", "data.drop", "CLASS", multiple=True)
@options.setting("--votes", "data.votes", "NAME")
@options.setting("--bands", "data.bands", "B,B,...")
@options.setting("--size", "data.size", "N")
@options.setting("--render", "data.render", "NAME")
@options.section(
    "Training",
    options.settings(
        options.setting("--architecture", "network.architecture", "NAME"),
        options.setting("--epochs", "training.epochs", "N"),
        options.setting("--batch-size", "training.batch_size", "N|all"),
        options.setting("--learning-rate", "training.learning_rate", "RATE"),
    ),
)
@options.section(
    "Start",
    options.setting("--from", "start.model", "MODEL"),
    options.setting("--freeze", "start.freeze", "none|body|all|N"),
    options.setting("--head-epochs", "start.head_epochs", "N"),
)
@click.option(
    "--no-calibrate",
    is_flag=True,
    help="Do not measure the uncertainty at the end; see galcnn calibrate.",
)
@click.option("--out", metavar="MODEL", help="Output folder of the model.")
@options.overwrite
@options.section(
    "Diagnostics",
    click.option(
        "--find-learning-rate",
        "figure",
        metavar="FILE.png",
        help="Do not train; plot the loss against an increasing learning rate, and suggest one.",
    ),
    click.option("--snapshots", metavar="DIR", help="Save the weights of every epoch, for galcnn landscape."),
    click.option(
        "--tensorboard", metavar="DIR", help="Write the gradients for TensorBoard; with --set health=50."
    ),
)
@options.setting("--seed", "seed", "N")
@options.setting("--device", "devices.device", "NAME")
@options.quiet
def command(
    experiment: str | None,
    no_calibrate: bool,
    out: str | None,
    overwrite: bool,
    figure: str | None,
    snapshots: str | None,
    tensorboard: str | None,
    quiet: bool,
) -> None:
    """Train a network on a labelled catalog, and score it.

    \b
    galcnn train --catalog labels.csv --image-column file --label class_name --id objid \\
        --merge spiral=spiral_cw,spiral_acw --drop dont_know --out model
    galcnn train experiment.toml --out model --epochs 10 --set training.optimizer=sgd
    galcnn train experiment.toml --find-learning-rate rates.png
    galcnn train model/card.json --out again
    galcnn train --from model --freeze body --catalog mine.csv --label ring --out rings

    Scores are measured once, on the test set, for two class priors, see galcnn classify --prior. The
    uncertainty (calibration, prediction sets and out-of-distribution limit) is fitted to the validation set
    and checked on the test set. An interrupted training is continued by the same command. A card.json
    repeats the training of its model. Every setting of EXPERIMENT.toml can also be given by --set, and
    --list-settings lists them.
    """
    from galcnn.cli.quiet import load_tensorflow, muted_stderr

    if figure is not None:
        atomic.check_writable(figure, overwrite=overwrite)
    from galcnn.experiment.assignments import experiment_from

    wanted, progress = experiment_from(experiment, options.assignments()), options.progress(quiet)
    if no_calibrate:
        wanted = replace(wanted, calibration=replace(wanted.calibration, enabled=False))
    if out is None and figure is None:
        raise click.UsageError("Expected --out MODEL, the folder of the model.")
    load_tensorflow(start=False)
    from galcnn.dataset.reading import claim_shards
    from galcnn.experiment import train
    from galcnn.experiment.preflight import find_learning_rate
    from galcnn.model import Card
    from galcnn.model.devices import device_line, is_chief, make_strategy
    from galcnn.training import Snapshots

    with muted_stderr():
        strategy = make_strategy(wanted.devices)
        line = device_line(strategy)
    click.echo(line)
    if figure is not None:
        _say_rate(find_learning_rate(wanted, figure, progress=progress), figure)
        return
    assert out is not None
    path = Path(out)
    before = Card.read(path / "card.json") if (path / "card.json").is_file() and not overwrite else None
    shards = wanted.data.shards
    if shards is not None and not (Path(shards) / atomic.MARK).exists():
        claim_shards(shards, overwrite=overwrite).mark()
    kept = [Snapshots(snapshots, overwrite=overwrite)] if snapshots is not None else []
    trained = train(
        wanted, out, progress=progress, overwrite=overwrite, callbacks=kept, tensorboard=tensorboard
    )
    if not is_chief(strategy):
        click.echo("the first worker writes the model")
        return
    if trained.card == before:
        click.echo(
            f"{out} is the model of this experiment, trained {before.created}: it was not trained again"
        )
        if snapshots is not None and not Path(snapshots).is_dir():
            click.echo(f"{snapshots} has no snapshots of this model: train it again with --overwrite")
    _report(trained.card, path, trained.orientations)
    if (path / "health.csv").is_file():
        click.echo(f"gradients during the training: galcnn diagnose {out}")
    if experiment is not None and experiment.endswith(".json"):
        same = Card.read(Path(experiment)).data.get("sha256") == trained.card.data["sha256"]
        click.echo(f"the data are {'' if same else 'NOT '}those of {experiment}")


def _say_rate(rate: float | None, figure: str) -> None:
    if rate is None:
        click.echo("the loss does not fall at any rate: look at the figure, and at the data")
    else:
        click.echo(f"the loss falls fastest at a learning rate of {rate:.1e}: --learning-rate {rate:.1e}")
    click.echo(f"wrote {figure}")


def _report(card: Any, out: Path, orientations: int) -> None:
    from galcnn.catalog.names import LEFT_OUT
    from galcnn.prediction.calibration import UNCERTAINTY_FILE
    from galcnn.uncertainty import UncertaintyRecord

    counts = {side: sum(n.values()) for side, n in card.data["counts"].items()}
    click.echo(
        f"{counts['train']} galaxies for training, {counts['validation']} validation, {counts['test']} test"
    )
    for note in card.data.get("catalog_notes", ()):
        click.echo(f"catalog: {note}")
    if n := card.data.get("n_left_out"):
        click.echo(f"{n} galaxies are left out, since their images cannot be read: {out / LEFT_OUT}")
    for name in ("bands", "preprocessing", "images", "shared_galaxies"):
        if name in card.parent:
            click.echo(f"start from {card.parent['name']}, {name.replace('_', ' ')}: {card.parent[name]}")
    if card.data["masked_fraction"] > 0.01:
        click.echo(f"{card.data['masked_fraction']:.0%} of all pixels are masked and were filled with sky")
    calibrated = "calibrated " if card.metrics.get("calibrated") else ""
    click.echo(
        f"{calibrated}scores on the test set, with 95 % intervals, after {card.metrics['epochs']} epochs:"
    )
    sides = [card.metrics["test"], card.metrics.get("test_sqrt", {})]
    if sides[1]:
        click.echo(f"  {'':<28} {'--prior catalog (default)':<25}  {'--prior sqrt':<20}")
    for name, score in card.metrics["test"].items():
        if score["value"] is not None:
            told = [
                f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
                if None not in (one["value"], one["low"], one["high"])
                else "-"
                for one in (side[name] for side in sides if name in side)
            ]
            click.echo(
                f"  {name:<28} {told[0]:<25}  {''.join(f'{one:<22}' for one in told[1:])}n={score['n']}"
            )
    if sides[1]:
        click.echo(
            "catalog: class frequencies of the training set; sqrt: their square roots, for rare classes"
        )
    if orientations > 1:
        click.echo(
            f"predictions average {orientations} orientations of each image, at {orientations} times the "
            "cost of one; galcnn classify --orientations 1 is faster"
        )
    record = UncertaintyRecord.read(out, card.model_sha256)
    for line in [] if record is None else record.lines():
        click.echo(line)
    written = "model.keras, card.json, history.csv, test.ecsv"
    click.echo(f"wrote {out}/: {written}{'' if record is None else f', {UNCERTAINTY_FILE}'}")
    click.echo(f"next: galcnn classify {out} IMAGE... --out classes.ecsv")
