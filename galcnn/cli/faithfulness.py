"""galcnn faithfulness."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galcnn._runtime.progress import Progress
    from galcnn.faithfulness.deletion_insertion import Imputation
    from galcnn.model import TrainedModel

#: Options that only one of the two tests takes.
_RETRAINING = ("shares", "seeds", "epochs")
_REPORT = (
    *("image_column", "label", "id_", "split", "number", "target", "imputation", "epsilon", "keep_layers"),
    *("seed_models", "shuffled_models", "n_retrained", "render", "seed", "images", "max_unreadable"),
    *("bands", "fit", "grid", "width", "hdu", "zero_point", "pixel_scale", "strict"),
)


@click.command(name="faithfulness", cls=options.Command)
@click.argument("model")
@click.option(
    "--catalog", metavar="FILE", help="Catalog of galaxies with images.  [default: that of the training]"
)
@options.model_columns
@options.images_folder
@options.split
@click.option(
    "-n",
    "--number",
    type=click.IntRange(min=8),
    metavar="N",
    default=60,
    show_default=True,
    help="Use at most N galaxies, drawn at random.",
)
@options.files
@options.max_unreadable
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="METHOD",
    help="Explanation method, see galcnn plugins, with settings after a colon; 'all' for all methods; may "
    "be repeated.  [default: those of galcnn explain; saliency with --retrain]",
)
@options.target
@click.option(
    "--imputation",
    type=click.Choice(["sky", "blurred"]),
    default="sky",
    show_default=True,
    help="Replace deleted pixels by blank sky or by the blurred image.",
)
@click.option(
    "--epsilon",
    type=float,
    metavar="X",
    default=1.0,
    show_default=True,
    help="Largest change of a pixel in the tests of sensitivity and fragility, in sigma of its noise.",
)
@click.option(
    "--orientations",
    type=click.Choice(["1", "4", "8"]),
    metavar="N",
    default="1",
    show_default=True,
    callback=lambda context, option, value: int(value),
    help="Average N of the model's orientations of each image; all 8 take eight times as long as one.",
)
@click.option(
    "--keep-layers",
    type=click.IntRange(min=0),
    metavar="N",
    default=3,
    show_default=True,
    help="Write the maps of N galaxies as FITS layers.",
)
@options.section(
    "Other models",
    click.option(
        "--retrained-models",
        "n_retrained",
        type=click.IntRange(min=3),
        metavar="N",
        help="Train N models with other seeds and N on shuffled labels; 8 or more give a verdict.",
    ),
    click.option(
        "--seed-model",
        "seed_models",
        multiple=True,
        metavar="DIR",
        help="Model trained alike with another seed; to be given at least twice.",
    ),
    click.option(
        "--shuffled-model",
        "shuffled_models",
        multiple=True,
        metavar="DIR",
        help="Model trained on shuffled labels; to be given at least three times.",
    ),
)
@options.section(
    "Retraining without the pixels that maps rank highest",
    click.option("--retrain", is_flag=True, help="Test the maps by new trainings (ROAR), and nothing else."),
    click.option(
        "--shares",
        metavar="X,X,...",
        default="0.05,0.2",
        show_default=True,
        help="Fractions of the pixels to remove.",
    ),
    click.option(
        "--seeds",
        metavar="N,N,...",
        default="0,1",
        show_default=True,
        help="Seeds; there is one training per method, share and seed.",
    ),
    click.option(
        "--epochs", type=click.IntRange(min=1), help="Epochs of each training.  [default: as for MODEL]"
    ),
)
@click.option("--out", required=True, metavar="DIR", help="Output folder for tables, figures and layers.")
@options.overwrite
@options.seed
@options.device
@options.yes
@options.quiet
def command(
    model: str,
    catalog: str | None,
    image_column: str | tuple[str, ...] | None,
    label: str | None,
    id_: str | None,
    images: str | None,
    split: str,
    number: int,
    render: str | None,
    max_unreadable: float,
    methods: tuple[str, ...],
    target: str | None,
    imputation: Imputation,
    epsilon: float,
    orientations: int,
    keep_layers: int,
    n_retrained: int | None,
    seed_models: tuple[str, ...],
    shuffled_models: tuple[str, ...],
    retrain: bool,
    shares: str,
    seeds: str,
    epochs: int | None,
    out: str,
    overwrite: bool,
    seed: int,
    device: str,
    yes: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Test whether explanation maps are faithful to a model.

    \b
    galcnn faithfulness model --out faithfulness
    galcnn faithfulness gz1 --catalog labels.csv --method smoothgrad:n=10 --method cam --out faithfulness
    galcnn faithfulness model --retrained-models 8 --out faithfulness
    galcnn faithfulness model --retrain --method saliency --shares 0.1 --seeds 0,1,2 --out retraining

    Each method gets a verdict with an interval for each criterion: randomisation of the model's weights,
    deletion and insertion of pixels, localisation on the galaxy, stability and significance. With
    --retrain, the pixels that a map ranks highest are removed from all images and a new model is trained
    on them; for comparison, as many random pixels and the brightest pixels are removed.

    A map of a model that averages the orientations of an image is the mean of the maps of all orientations,
    rotated back. What is tested by default is the map of one orientation, as it is with
    galcnn explain --orientations 1; give --orientations 8 to test the mean of 8.

    An interrupted run is continued by the same command, and methods can be added to an existing folder.
    """
    from galcnn.cli.quiet import load_tensorflow

    if retrain:
        if refused := options.typed(*_REPORT):
            raise click.UsageError(f"Expected no {refused} with --retrain.")
    elif refused := options.typed(*_RETRAINING):
        raise click.UsageError(f"Expected --retrain with {refused}.")
    elif n_retrained is None and options.typed("yes"):
        raise click.UsageError("Expected --retrain or --retrained-models N with --yes.")
    removed = options.numbers("--shares", shares)
    chosen_seeds = options.whole_numbers("--seeds", seeds) or ()
    reading = options.reading(given)
    options.check_folder(out, overwrite=overwrite)
    load_tensorflow(device=device)
    from galcnn.model import load_model

    progress = options.progress(quiet)
    averaged = load_model(model).with_render(render)
    trained = averaged.with_orientations(orientations)
    if retrain:
        chosen_methods = methods or ("saliency",)
        _retrain(
            trained,
            catalog,
            out,
            chosen_methods,
            removed,
            chosen_seeds,
            epochs,
            progress,
            overwrite,
            yes,
        )
        return
    from functools import partial

    from astropy.table import QTable

    from galcnn.experiment import galaxies_of
    from galcnn.explain import explainers_by_name
    from galcnn.explain.registry import DEFAULT
    from galcnn.faithfulness import FaithfulnessSettings, faithfulness_report, read_sample
    from galcnn.faithfulness.map_attacks import FragilitySettings
    from galcnn.faithfulness.report import Models, recommendation

    columns = options.chosen(image=image_column, class_=label, id=id_)
    drawn = galaxies_of(
        trained.card, catalog, columns=columns, split=split, folder=images, n=number, seed=seed
    )
    of_seeds = [load_model(path) for path in seed_models]
    of_labels = [load_model(path) for path in shuffled_models]
    if n_retrained is not None:
        from galcnn.experiment.data import data_of
        from galcnn.faithfulness.retraining import retrained_models

        prepared = data_of(trained.card, catalog, folder=images, progress=progress)
        n_images = len(prepared.sides["train"])
        options.ask_before(f"{2 * n_retrained} trainings on {n_images:,} images each.", yes=yes)
        train_alike = partial(
            retrained_models,
            averaged,
            prepared,
            f"{Path(out)}-retrained-models",
            n=n_retrained,
            progress=progress,
            overwrite=overwrite,
        )
        of_seeds += train_alike(differing="seeds")
        of_labels += train_alike(differing="labels")
    galaxies = read_sample(
        trained, drawn, images=images, reading=reading, max_unreadable=max_unreadable, progress=progress
    )
    options.tell_left_out(galaxies.left_out)
    others = [[one.with_orientations(orientations) for one in those] for those in (of_seeds, of_labels)]
    table = faithfulness_report(
        Models(trained, *map(tuple, others)),
        galaxies,
        out,
        explainers=explainers_by_name(methods or DEFAULT),
        settings=FaithfulnessSettings(
            target,
            imputation,
            epsilon,
            attack=FragilitySettings(epsilon, seed=seed),
            keep_layers=keep_layers,
            seed=seed,
        ),
        progress=progress,
        overwrite=overwrite,
    )
    ranking = QTable.read(Path(out) / "ranking.ecsv")
    if trained is not averaged:
        click.echo(
            f"tested: maps of {orientations} of the {averaged.orientations} orientations that predictions "
            f"average (all: --orientations {averaged.orientations})"
        )
    click.echo(recommendation(ranking).replace("**", ""))
    for name in dict.fromkeys(str(method) for method in table["method"]):
        verdicts = [str(row["verdict"]) for row in table if row["method"] == name]
        counts = ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts))
        click.echo(f"{name:<24}{counts}")
    click.echo(f"wrote {out}/faithfulness.md")


def _retrain(
    trained: TrainedModel,
    catalog: str | None,
    out: str,
    methods: Sequence[str],
    shares: tuple[float, ...],
    seeds: tuple[int, ...],
    epochs: int | None,
    progress: Progress,
    overwrite: bool,
    yes: bool,
) -> None:
    from galcnn.experiment.data import data_of
    from galcnn.explain import explainers_by_name
    from galcnn.faithfulness import retrain
    from galcnn.faithfulness.retraining import RetrainingSettings

    explainers = explainers_by_name(methods)
    settings = RetrainingSettings(shares, seeds, epochs)
    prepared = data_of(trained.card, catalog, progress=progress)
    n = settings.n_trainings(len(explainers))
    options.ask_before(f"{n} trainings on {len(prepared.sides['train']):,} images each.", yes=yes)
    table = retrain(
        trained,
        prepared,
        out,
        explainers=explainers,
        settings=settings,
        progress=progress,
        overwrite=overwrite,
    )
    for row in table:
        interval = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        click.echo(
            f"{row['method']:<22}{row['share']:<6g}accuracy {row['accuracy']:.3f}, "
            f"below random pixels {row['below_random']:+.3f} {interval}"
        )
    click.echo(f"wrote {out}/retraining.ecsv")
