"""galcnn train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from galcnn._runtime import atomic
from galcnn.cli import options

_BALANCE = click.Choice(["none", "weights", "sqrt-weights", "sampling"])


@click.command(name="train")
@click.argument("experiment", required=False, metavar="[EXPERIMENT.toml | card.json]")
@click.option(
    "--catalog", metavar="FILE", help="Table with one row per galaxy (ECSV, CSV, FITS, VOTable, Parquet)."
)
@click.option("--image-column", metavar="C", help="Column with the path of each image.  [default: image]")
@click.option("--label", metavar="C", help="Column with the class.  [default: class]")
@options.id_column
@click.option(
    "--merge", multiple=True, metavar="NEW=OLD,OLD", help="Merge classes, e.g. spiral=spiral_cw,spiral_acw."
)
@click.option("--drop", multiple=True, metavar="CLASS", help="Leave out a class; may be repeated.")
@click.option("--out", metavar="MODEL", help="Output folder of the model.")
@options.overwrite
@click.option(
    "--find-learning-rate",
    "figure",
    metavar="FIGURE.png",
    help="Do not train; plot the loss against an increasing learning rate, and suggest one.",
)
@click.option("--snapshots", metavar="DIR", help="Save the weights of every epoch, for galcnn landscape.")
@click.option("--bands", metavar="B,B,...", help="Bands to use, in this order.  [default: all]")
@options.size
@click.option("--shards", metavar="DIR", help="Pack the images into this folder once, and read them from it.")
@click.option(
    "--cache-megabytes", type=float, help="Largest size of images kept in memory, MB.  [default: 1000]"
)
@options.preprocessing
@options.render
@click.option(
    "--split-by", metavar="WHAT", help="Keep groups together: object, sdss-field, sky-region or a column."
)
@click.option("--epochs", type=click.IntRange(min=1))
@click.option(
    "--batch-size",
    callback=lambda context, option, value: _batch_size(value),
    metavar="N|all",
    help="Images per update; 'all' for full-batch gradient descent.",
)
@click.option(
    "--chunk-size", type=click.IntRange(min=1), help="Images per step of a full batch; limits memory."
)
@click.option(
    "--optimizer",
    metavar="NAME",
    help="Keras optimizer: sgd, momentum, nesterov, rmsprop, adagrad, adam, adamw ...",
)
@click.option("--learning-rate", type=float)
@click.option(
    "--schedule",
    type=click.Choice(["constant", "step", "exponential", "cosine", "plateau"]),
    help="Learning-rate schedule.  [default: cosine]",
)
@click.option(
    "--weight-decay", type=float, help="Decoupled weight decay: each update subtracts rate x decay x w."
)
@click.option("--clipvalue", type=float, help="Largest absolute value of a gradient element.")
@click.option("--clipnorm", type=float, help="Largest norm of the gradient of one variable.")
@click.option("--global-clipnorm", type=float, help="Largest norm of the whole gradient.")
@click.option(
    "--patience", type=click.IntRange(min=1), help="Epochs without improvement before training stops."
)
@click.option(
    "--tolerance", type=float, help="Stop if the training loss changes by less than this in an epoch."
)
@click.option("--balance", type=_BALANCE, help="Treatment of rare classes.  [default: none]")
@click.option("--label-smoothing", type=float)
@click.option("--flips/--no-flips", default=None, help="Mirror training images.  [default: flips]")
@click.option("--flip-swaps", multiple=True, metavar="A:B", help="Classes that mirroring swaps.")
@click.option("--rotations", type=click.Choice(["none", "quarter", "any"]), help="Rotate training images.")
@click.option("--shift", type=click.IntRange(min=0), help="Largest shift of training images, pixels.")
@click.option("--blur", type=float, help="Largest sigma of a blur of training images, pixels.")
@click.option("--noise", type=float, help="Largest added noise, in units of the sky noise.")
@click.option("--band-dropout", type=float, help="Probability of removing a band of a training image.")
@click.option(
    "--architecture",
    metavar="NAME",
    help="Network of keras.applications: ResNet50V2 ...  [default: blocks]",
)
@click.option(
    "--residual/--no-residual", default=None, help="Residual blocks: add the input of a block to its output."
)
@click.option(
    "--orientations",
    type=click.Choice(["1", "4", "8"]),
    help="Rotations and mirror images averaged in the network.",
)
@click.option("--widths", metavar="N,N,...", help="Filters of each block.")
@click.option("--depth", type=click.IntRange(min=1), help="Convolutions in each block.")
@click.option("--normalization", type=click.Choice(["none", "batch", "group", "layer"]))
@click.option("--initializer", metavar="NAME", help="A Keras identifier: he_normal, glorot_uniform ...")
@click.option("--regularizer", metavar="NAME", help="A Keras identifier: l2 ...")
@click.option("--dropout", type=float, help="Dropout rate before the logits.")
@click.option("--spatial-dropout", type=float, help="Dropout rate of whole feature maps after each block.")
@click.option("--l1", type=float, help="Penalty L1 sum |w| of the kernels.")
@click.option("--l2", type=float, help="Penalty L2 / 2 sum w^2 of the kernels: dC/dw = dE/dw + L2 w.")
@click.option("--max-norm", type=float, help="Largest norm of the weights into one unit.")
@click.option("--device", metavar="NAME", help="auto, cpu, gpu or gpu:N.  [default: auto]")
@click.option(
    "--strategy",
    type=click.Choice(["one", "mirrored", "workers"]),
    help="Distribute each batch over devices or machines.  [default: one]",
)
@options.replicas
@click.option(
    "--precision",
    type=click.Choice(["float32", "mixed_float16", "mixed_bfloat16"]),
    help="Floating-point precision of the layers.  [default: float32]",
)
@click.option("--licence", metavar="TEXT", help="Licence of the data, for the model card.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Random seed of the split and the initial weights.  [default: 0]",
)
@click.option("--deterministic", is_flag=True, help="Bit-identical results on the same machine; slower.")
@click.option(
    "--health",
    is_flag=False,
    flag_value="50",
    metavar="[N]",
    callback=lambda context, option, value: _looks(value),
    help="Check the gradients every N updates (default 50), and report problems.",
)
@click.option("--tensorboard", metavar="DIR", help="Also write the gradient health for TensorBoard.")
@options.quiet
def command(
    experiment: str | None,
    out: str | None,
    overwrite: bool,
    figure: str | None,
    snapshots: str | None,
    tensorboard: str | None,
    quiet: bool,
    **given: Any,
) -> None:
    """Train a network on a labelled catalog, and score it.

    \b
    galcnn train --catalog labels.csv --image-column file --label class_name --id objid \\
        --merge spiral=spiral_cw,spiral_acw --drop dont_know --out model
    galcnn train experiment.toml --out model --epochs 10
    galcnn train experiment.toml --find-learning-rate rates.png
    galcnn train model/card.json --out again

    The scores are measured once, on the test set. An interrupted training is continued by the same
    command. A card.json repeats the training of its model.
    """
    from galcnn.cli.quiet import load_tensorflow, muted_stderr

    if figure is not None:
        atomic.check_writable(figure, overwrite=overwrite)
    load_tensorflow(start=False)
    from galcnn.dataset.reading import claim_shards
    from galcnn.experiment import Experiment, read_settings, train
    from galcnn.experiment.preflight import find_learning_rate
    from galcnn.model import Card
    from galcnn.model.devices import device_line, is_chief, make_strategy
    from galcnn.training import Snapshots

    content = _overridden(read_settings(experiment) if experiment else {}, given)
    if "catalog" not in content["data"]:
        raise click.UsageError("Expected --catalog FILE or an EXPERIMENT.toml that names one.")
    wanted, progress = Experiment.from_dict(content), options.progress(quiet)
    with muted_stderr():
        strategy = make_strategy(wanted.devices)
        line = device_line(strategy)
    click.echo(line)
    if figure is not None:
        _say_rate(find_learning_rate(wanted, figure, progress=progress), figure)
        return
    if out is None:
        raise click.UsageError("Expected --out MODEL, the folder of the model.")
    path = Path(out)
    before = Card.read(path / "card.json") if (path / "card.json").is_file() and not overwrite else None
    shards = given["shards"]
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
        click.echo(f"{out} holds this very experiment, trained {before.created}: nothing was repeated")
        if snapshots is not None and not Path(snapshots).is_dir():
            click.echo(f"{snapshots} got no snapshots: --overwrite trains anew")
    _report(trained.card, path)
    if (path / "health.csv").is_file():
        click.echo(f"its health: galcnn diagnose {out}")
    if experiment is not None and experiment.endswith(".json"):
        same = Card.read(Path(experiment)).data.get("sha256") == trained.card.data["sha256"]
        click.echo(f"the data are {'' if same else 'NOT '}those of {experiment}")


def _say_rate(rate: float | None, figure: str) -> None:
    if rate is None:
        click.echo("the loss does not fall at any rate: look at the figure, and at the data")
    else:
        click.echo(f"the loss falls fastest at a learning rate of {rate:.1e}: --learning-rate {rate:.1e}")
    click.echo(f"wrote {figure}")


def _batch_size(text: str | None) -> int | str | None:
    if text is None or text == "all":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"expected a number of images or 'all', received {text!r}")
    return int(text)


def _overridden(content: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Override the settings of the file by options of the command line."""
    sections: dict[str, dict[str, Any]] = {
        "data": {
            "catalog": given["catalog"],
            "image_column": given["image_column"],
            "label": given["label"],
            "id": given["id_"],
            "merge": _merges(given["merge"]),
            "drop": list(given["drop"]),
            "bands": options.words(given["bands"]),
            "size": given["size"],
            "render": given["render"],
            "shards": given["shards"],
            "cache_megabytes": given["cache_megabytes"],
            "split_by": given["split_by"],
            "stretch": given["stretch"],
            "scaling": given["scaling"],
            "per": given["per"],
            "licence": given["licence"],
        },
        "network": {
            name: given[name]
            for name in (
                "architecture",
                "residual",
                "precision",
                "depth",
                "normalization",
                "initializer",
                "regularizer",
                "dropout",
                "spatial_dropout",
                "l1",
                "l2",
                "max_norm",
            )
        }
        | {"widths": options.whole_numbers("--widths", given["widths"])}
        | {"orientations": given["orientations"] and int(given["orientations"])},
        "devices": {name: given[name] for name in ("device", "strategy", "replicas")},
        "training": {
            name: given[name]
            for name in (
                "epochs",
                "batch_size",
                "chunk_size",
                "optimizer",
                "learning_rate",
                "schedule",
                "weight_decay",
                "clipvalue",
                "clipnorm",
                "global_clipnorm",
                "patience",
                "tolerance",
                "balance",
                "label_smoothing",
            )
        },
    }
    augmentation = {
        "flips": given["flips"],
        **{name: given[name] for name in ("rotations", "shift", "blur", "noise", "band_dropout")},
        "flip_swaps": options.pairs("--flip-swaps", given["flip_swaps"], ":"),
    }
    for name, section in sections.items():
        content[name] = _section(content, name) | _said(section)
    content["training"]["augmentation"] = _section(content["training"], "augmentation") | _said(augmentation)
    return content | _said(
        {"seed": given["seed"], "deterministic": given["deterministic"] or None, "health": given["health"]}
    )


def _section(content: dict[str, Any], name: str) -> dict[str, Any]:
    section = content.get(name, {})
    if not isinstance(section, dict):
        raise click.UsageError(f"Expected a section [{name}]. Received: {name}={section!r}.")
    return dict(section)


def _looks(text: str | None) -> int | None:
    if text is not None and (not text.isdecimal() or int(text) < 1):
        raise click.BadParameter(f"expected a number of updates, received {text!r}")
    return None if text is None else int(text)


def _merges(texts: Sequence[str]) -> dict[str, list[str]]:
    """Parse --merge; old classes of repeated new classes are combined."""
    merged: dict[str, list[str]] = {}
    for text in texts:
        for new, olds in options.pairs("--merge", [text], "=").items():
            merged.setdefault(new, []).extend(options.words(olds) or ())
    return merged


def _said(section: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in section.items() if value is not None and value != [] and value != {}
    }


def _report(card: Any, out: Path) -> None:
    counts = {side: sum(n.values()) for side, n in card.data["counts"].items()}
    click.echo(
        f"{counts['train']} galaxies for training, {counts['validation']} validation, {counts['test']} test"
    )
    if card.data["masked_fraction"] > 0.01:
        click.echo(f"{card.data['masked_fraction']:.0%} of all pixels are masked and were filled with sky")
    click.echo(f"scores on the test set, with 95 % intervals, after {card.metrics['epochs']} epochs:")
    for name, score in card.metrics["test"].items():
        if score["value"] is not None:
            click.echo(
                f"  {name:<28} {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]  n={score['n']}"
            )
    click.echo(f"wrote {out}/: model.keras, card.json, history.csv, test.ecsv")
    click.echo(f"next: galcnn classify {out} IMAGE... --out classes.ecsv")
