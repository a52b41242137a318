"""galcnn drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from galcnn.covariate_shift.distances import Measure


@click.command(name="drift", cls=options.Command)
@click.argument("model")
@click.argument("images_", nargs=-1, metavar="IMAGE...")
@click.option("--catalog", metavar="FILE", help="Catalog of the galaxies, in place of IMAGE.")
@options.catalog_id
@options.catalog_image
@click.option("--images", metavar="DIR", help="Folder of the images of the catalog.")
@click.option(
    "--reference",
    multiple=True,
    required=True,
    metavar="IMAGE",
    help="Image, or folder of images, like those of the training; may be repeated.",
)
@click.option(
    "--measure",
    type=click.Choice(["moments", "sliced_wasserstein", "mmd", "classifier"]),
    default="mmd",
    show_default=True,
    help="Distance between the two sets of activations; classifier: how well they are told apart.",
)
@click.option("--out", metavar="TABLE", help="Also write the table (.ecsv, .csv, .fits ...).")
@options.overwrite
@options.files
@options.max_unreadable
@options.seed
@options.device
@options.quiet
def command(
    model: str,
    images_: tuple[str, ...],
    catalog: str | None,
    id_: str | None,
    image_column: str | tuple[str, ...] | None,
    images: str | None,
    reference: tuple[str, ...],
    measure: Measure,
    out: str | None,
    overwrite: bool,
    max_unreadable: float,
    render: str | None,
    seed: int,
    device: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Test whether galaxies differ from the training galaxies.

    \b
    galcnn drift model new/*.fits --reference sky/cutouts
    galcnn drift model far/cutouts --reference sky/cutouts --measure classifier --out drift.ecsv
    galcnn drift model --catalog far.ecsv --reference sky/cutouts

    Compares the pixels and the activations of every layer. The p-values are from permutation tests and
    are adjusted for the number of layers. At least four galaxies are needed on each side; a few dozen
    are enough to detect a relevant shift.
    """
    from galcnn.catalog import read_catalog, write_table
    from galcnn.cli.quiet import load_tensorflow

    if bool(images_) == bool(catalog):
        raise click.UsageError("Expected images, or --catalog FILE, and one of them.")
    if not catalog and (id_ or image_column or images):
        raise click.UsageError("Expected --catalog FILE with --id, --image-column and --images.")
    known, new = options.paths_by_id(reference), options.paths_by_id(images_)
    inputs = [*known.values(), *new.values(), *([catalog] if catalog else [])]
    options.check_table(out, inputs=inputs, overwrite=overwrite)
    load_tensorflow(device=device)
    from galcnn.covariate_shift.distances import drift_table
    from galcnn.dataset import InputFiles
    from galcnn.model import images_from, load_model

    trained, progress = load_model(model).with_render(render), options.progress(quiet)
    reading = options.reading(given)
    if catalog:
        read = options.noted(read_catalog(catalog, columns=options.chosen(id=id_, image=image_column)))
        files = InputFiles.of(read, images, **reading)
    else:
        files = InputFiles(new, **reading)
    sides = []
    for one in (files.like(known), files):
        found = one.readable(trained.card.inputs, max_unreadable=max_unreadable, progress=progress)
        options.tell_left_out(found.left_out)
        sides.append(images_from(found.cutouts))
    table = drift_table(trained, sides[0], sides[1], measure=measure, seed=seed)
    for row in table:
        click.echo(f"{row['layer']:<32} {measure} {row['value']:8.3f}   p {row['p_holm']:.3f}")
    drifted = int((table["p_holm"] < 0.05).sum())
    word = "unlike" if drifted else "not shown to be unlike"
    click.echo(f"{len(sides[1])} galaxies are {word} the {len(sides[0])} of the reference")
    if out:
        write_table(table, out)
        click.echo(f"wrote {out}")
