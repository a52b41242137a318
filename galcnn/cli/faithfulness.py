"""galcnn faithfulness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from galcnn.faithfulness.deletion_insertion import Imputation


@click.command(name="faithfulness")
@click.argument("model")
@click.option("--catalog", required=True, metavar="FILE", help="Catalog of the training, or another.")
@options.model_columns
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("saliency", "input_x_gradient", "guided", "cam"),
    show_default=True,
    help="Method, see galcnn plugins, with settings after a colon; 'all' for all methods.",
)
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder: faithfulness.md, tables, figures, layers."
)
@options.overwrite
@click.option("--galaxies", type=click.IntRange(min=8), default=60, show_default=True, help="At most.")
@options.split
@options.target
@click.option("--imputation", type=click.Choice(["sky", "blurred"]), default="sky", show_default=True)
@click.option(
    "--noise", type=float, default=1.0, show_default=True, help="Largest change of pixels, in sigma."
)
@click.option("--seed-model", "seeds", multiple=True, metavar="DIR", help="Model trained alike; two or more.")
@click.option(
    "--shuffled-model",
    "shuffled",
    multiple=True,
    metavar="DIR",
    help="Model trained on shuffled labels; three or more.",
)
@click.option(
    "--siblings",
    type=click.IntRange(min=3),
    metavar="N",
    help="Train N models with other seeds, and N on shuffled labels; use 8 or more for a verdict.",
)
@click.option("--layers", type=click.IntRange(min=0), default=3, show_default=True, help="Galaxies as FITS.")
@options.fit
@options.render
@options.seed
@options.quiet
def command(
    model: str,
    catalog: str,
    image_column: str | None,
    label: str | None,
    id_: str | None,
    methods: tuple[str, ...],
    out: str,
    overwrite: bool,
    galaxies: int,
    split: str,
    target: str | None,
    imputation: Imputation,
    noise: float,
    seeds: tuple[str, ...],
    shuffled: tuple[str, ...],
    siblings: int | None,
    layers: int,
    fit: bool,
    render: str | None,
    seed: int,
    quiet: bool,
) -> None:
    """Test the faithfulness of the maps of each explanation method.

    \b
    galcnn faithfulness model --catalog sky/catalog.ecsv --out trust
    galcnn faithfulness gz1 --catalog labels.csv --method smoothgrad:n=10 --method cam --out trust
    galcnn faithfulness model --catalog sky/catalog.ecsv --seed-model other1 --seed-model other2 --out trust
    galcnn faithfulness model --catalog sky/catalog.ecsv --siblings 8 --out trust

    Each verdict comes with an interval. An interrupted run is continued by the same command, and methods
    can be added to an existing folder.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    load_tensorflow()
    from functools import partial

    from galcnn.experiment import galaxies_of
    from galcnn.experiment.data import data_of
    from galcnn.explain import explainers_by_name
    from galcnn.faithfulness import FaithfulnessSettings, faithfulness_report, read_sample
    from galcnn.faithfulness.map_attacks import FragilitySettings
    from galcnn.faithfulness.report import Models
    from galcnn.faithfulness.retraining import siblings as train_siblings
    from galcnn.model import load_model

    progress = options.progress(quiet)
    trained = load_model(model).with_render(render)
    drawn = galaxies_of(
        trained.card,
        catalog,
        columns=options.chosen(image=image_column, class_=label, id=id_),
        split=split,
        n=galaxies,
        seed=seed,
    )
    others, random = [load_model(path) for path in seeds], [load_model(path) for path in shuffled]
    if siblings is not None:
        prepared, folder = data_of(trained.card, catalog, progress=progress), f"{out}-siblings"
        train_alike = partial(
            train_siblings, trained, prepared, folder, n=siblings, progress=progress, overwrite=overwrite
        )
        others += train_alike(differing="seeds")
        random += train_alike(differing="labels")
    settings = FaithfulnessSettings(
        target, imputation, noise, attack=FragilitySettings(noise, seed=seed), layers=layers, seed=seed
    )
    table = faithfulness_report(
        Models(trained, tuple(others), tuple(random)),
        read_sample(trained, drawn, fit=fit, progress=progress),
        out,
        explainers=explainers_by_name(methods),
        settings=settings,
        progress=progress,
        overwrite=overwrite,
    )
    for name in dict.fromkeys(str(method) for method in table["method"]):
        words = [str(row["verdict"]) for row in table if row["method"] == name]
        counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        click.echo(f"{name:<24}{counts}")
    click.echo(f"wrote {out}/faithfulness.md")
