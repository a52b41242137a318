"""galcnn pack."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options


@click.command(name="pack", cls=options.Command)
@options.catalog
@options.image_column
@options.images_folder
@options.id_column
@options.catalog_files
@click.option(
    "--shard-size", type=click.IntRange(min=1), default=512, show_default=True, help="Images per shard."
)
@click.option("--out", required=True, metavar="DIR", help="Output folder of the shards.")
@options.overwrite
@options.quiet
def command(
    catalog: str,
    image_column: str,
    images: str | None,
    id_: str | None,
    shard_size: int,
    out: str,
    overwrite: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Pack images into shards: a few large files, faster to read.

    \b
    galcnn pack --catalog galaxies.parquet --out shards
    galcnn pack --catalog labels.csv --image-column file --id objid --size 96 --out shards
    galcnn classify model --catalog galaxies.parquet --shards shards --out run

    The first image determines bands, unit, size and pixel scale. Images that cannot be read, or differ
    from it, are skipped, with the reason; galcnn classify still gives them a row. An interrupted run
    continues after the last complete shard.
    """
    from galcnn.catalog import read_catalog
    from galcnn.dataset import InputFiles, pack_images, read_shards

    options.check_folder(out, overwrite=overwrite)
    columns = options.chosen(id=id_) | ({} if images and image_column == "image" else {"image": image_column})
    read = options.noted(read_catalog(catalog, columns=columns))
    files = InputFiles.of(read, images, size=given["size"], render=given["render"], **options.reading(given))
    progress = options.progress(quiet)
    packed = pack_images(
        files, out, shard_size=shard_size, complete=False, overwrite=overwrite, progress=progress
    )
    failed = {name: why for shard in read_shards(out) for name, why in shard.failed.items()}
    for name, why in list(failed.items())[:5]:
        click.echo(f"without {name}: {why}", err=True)
    if failed:
        click.echo(f"{len(failed)} of {len(files)} could not be packed; the records say why", err=True)
    shape, shards = packed.inputs.image_shape, len(packed.images.shards)
    click.echo(f"wrote {out}: {len(files)} images of {shape} in {shards} shards")
