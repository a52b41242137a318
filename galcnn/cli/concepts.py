"""galcnn concepts."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options


@click.command(name="concepts", cls=options.Command)
@click.argument("model")
@click.option("--catalog", required=True, metavar="FILE", help="Catalog of galaxies with images.")
@options.model_columns
@options.images_folder
@click.option(
    "-n",
    "--number",
    type=click.IntRange(min=1),
    metavar="N",
    default=200,
    show_default=True,
    help="Use at most N galaxies, drawn at random.",
)
@click.option(
    "--concept",
    "concepts",
    multiple=True,
    required=True,
    metavar="NAME|DIR:DIR",
    help="Concept: arms, bar, dust, neighbour or tail, which are simulated; or two folders of images, with "
    "the concept and without it. May be repeated.",
)
@click.option("--target", required=True, metavar="CLASS", help="Class, or CLASS-CLASS for a margin.")
@click.option("--layer", metavar="NAME", default="", help="Network layer.  [default: the last feature maps]")
@options.files
@options.max_unreadable
@options.seed
@options.device
@options.quiet
def command(
    model: str,
    catalog: str,
    image_column: str | tuple[str, ...] | None,
    label: str | None,
    id_: str | None,
    images: str | None,
    number: int,
    concepts: tuple[str, ...],
    target: str,
    layer: str,
    render: str | None,
    max_unreadable: float,
    seed: int,
    device: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Test whether a class rises with a concept such as a bar (TCAV).

    \b
    galcnn concepts model --catalog sky/catalog.ecsv --target spiral --concept arms --concept bar
    galcnn concepts model --catalog sky/catalog.ecsv --target spiral --concept dusty/:clean/

    Random concepts are drawn from the same images for the p-values.
    """
    from galcnn.cli.quiet import load_tensorflow

    reading = options.reading(given)
    load_tensorflow(device=device)
    from galcnn.dataset import InputFiles
    from galcnn.experiment import galaxies_of
    from galcnn.model import load_model
    from galcnn.pipeline import ConceptSettings, concept_table
    from galcnn.simulation import CONCEPTS

    trained = load_model(model).with_render(render)
    columns = options.chosen(image=image_column, class_=label, id=id_)
    galaxies = galaxies_of(trained.card, catalog, columns=columns, folder=images, n=number, seed=seed)
    own = {}
    for concept in set(concepts) - set(CONCEPTS):
        folders = concept.split(":")
        if len(folders) != 2:
            raise click.UsageError(
                f"Expected --concept {', '.join(CONCEPTS)}, or WITH:WITHOUT, two folders of images. "
                f"Received: {concept!r}."
            )
        with_it, without = (InputFiles(options.paths_by_id([one]), **reading) for one in folders)
        own[concept] = with_it, without
    table = concept_table(
        trained,
        InputFiles.of(galaxies, images, **reading),
        ConceptSettings(concepts, target, layer, seed=seed),
        own=own,
        max_unreadable=max_unreadable,
        progress=options.progress(quiet),
    )
    options.tell_left_out(table.meta.pop("left_out"))
    for key, value in table.meta.items():
        click.echo(f"{key}: {value}")
    for name in ("score", "slope", "accuracy", "p_value", "p_corrected"):
        table[name].info.format = ".3g"
    click.echo("\n".join(table.pformat(max_lines=-1, max_width=-1)))
