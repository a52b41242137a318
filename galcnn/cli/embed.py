"""galcnn embed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="embed", cls=options.Command)
@click.argument("encoder")
@options.catalog
@options.catalog_id
@options.catalog_image
@options.images_folder
@options.catalog_files
@click.option(
    "--scaling",
    type=click.Choice(["0-1", "mean-std"]),
    help="Scaling of the pictures of an encoder in the format of timm, unless it is a known one.",
)
@click.option("--out", required=True, metavar="TABLE.parquet", help="Output table.")
@options.overwrite
@options.device
@options.quiet
def command(
    encoder: str,
    catalog: str,
    id_: str | None,
    image_column: str | tuple[str, ...] | None,
    images: str | None,
    size: int | None,
    render: str | None,
    scaling: Literal["0-1", "mean-std"] | None,
    out: str,
    overwrite: bool,
    device: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Compute features of galaxies by any encoder, for neighbours.

    \b
    galcnn embed gz1 --catalog galaxies.csv --images pictures --out features.parquet
    galcnn embed hf://mwalmsley/zoobot-encoder-convnext_nano --catalog galaxies.csv --images pictures \\
        --size 224 --out features.parquet
    galcnn neighbours features.parquet --galaxy NGC1300
    galcnn label-next features.parquet -n 200 --strategy k-center --out next.ecsv

    ENCODER is named as in galcnn train --from: a model folder, the name of a model that ships with galcnn, a
    Keras file, keras.applications:NAME:imagenet, an encoder in the format of timm, or hf://owner/name.
    """
    from galcnn._runtime import atomic
    from galcnn.catalog import read_catalog
    from galcnn.cli.quiet import load_tensorflow

    # An older table of this command is kept if it is the same, which embed_catalog sees, and else refused.
    table = Path(out).suffix.lower() == ".parquet"
    atomic.check_writable(out, inputs=[catalog], overwrite=overwrite or table)
    galaxies = options.noted(read_catalog(catalog, columns=options.chosen(id=id_, image=image_column)))
    load_tensorflow(device=device)
    from galcnn.pipeline import embed_catalog, read_embedded

    embed_catalog(
        encoder,
        galaxies,
        out,
        images=images,
        size=size,
        render=render,
        scaling=scaling,
        reading=options.reading(given),
        overwrite=overwrite,
        progress=options.progress(quiet),
    )
    embedded = read_embedded(out)
    usable = int(embedded.usable.sum())
    tell(rows=len(embedded), usable=usable, n_features=embedded.features.shape[1], table=out)
    if usable < len(embedded):
        click.echo(
            f"{len(embedded) - usable} of {len(embedded)} cannot be used; {out} gives the reasons", err=True
        )
    click.echo(f"wrote {out}: {len(embedded)} galaxies, {embedded.features.shape[1]} features each")
