"""galcnn profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from galcnn.cli import options
from galcnn.cli.answers import tell_rows

if TYPE_CHECKING:
    import keras


_DEFAULT = ("blocks", "residual", "MobileNetV3Small", "EfficientNetB0", "ResNet50V2")


@click.command(name="profile")
@click.argument("names", nargs=-1)
@click.option("--size", type=click.IntRange(min=8), default=96, show_default=True, help="Image side, pixels.")
@click.option("--bands", type=click.IntRange(min=1), default=3, show_default=True, help="Number of bands.")
@click.option(
    "--classes", type=click.IntRange(min=2), default=4, show_default=True, help="Number of classes."
)
@click.option("--pixel-scale", type=float, help="Pixel scale, to give the receptive field in arcsec.")
@click.option("--orientations", type=click.Choice(["1", "4", "8"]), default="1", show_default=True)
@click.option("--layers", is_flag=True, help="Show one row per layer of a single network.")
@click.option("--out", metavar="FILE", help="Also write the table (ECSV, CSV ...).")
@options.overwrite
def command(
    names: Sequence[str],
    size: int,
    bands: int,
    classes: int,
    pixel_scale: float | None,
    orientations: str,
    layers: bool,
    out: str | None,
    overwrite: bool,
) -> None:
    """Show parameters, receptive field, memory and cost of networks.

    \b
    galcnn profile
    galcnn profile blocks residual ResNet50V2 --size 64 --bands 5 --pixel-scale 0.262
    galcnn profile model --layers

    NAMES are `blocks`, `residual`, networks of keras.applications, or folders of trained models.
    Memory is given for the weights, and for the activations kept per image in training. Operations are
    the multiplications and additions of convolutions and dense layers per image.
    """
    from galcnn.catalog import write_table
    from galcnn.cli.quiet import load_tensorflow

    options.check_table(out, overwrite=overwrite)
    load_tensorflow()
    from dataclasses import asdict

    from astropy.table import Table

    from galcnn.model import network_table
    from galcnn.model.profile import layer_costs

    chosen = [
        (name, _network(name, (size, size, bands), classes, int(orientations))) for name in names or _DEFAULT
    ]
    if layers:
        if len(chosen) != 1:
            raise click.UsageError("Expected one network with --layers.")
        rows = [asdict(cost) for cost in layer_costs(chosen[0][1])]
        table = Table([row | {"shape": "x".join(map(str, row["shape"]))} for row in rows])
    else:
        table = network_table(chosen, pixel_scale=pixel_scale)
    tell_rows(table)
    if out:
        write_table(table, out)


def _network(name: str, shape: tuple[int, int, int], n_classes: int, orientations: int) -> keras.Model:
    from galcnn.model import NetworkSettings, build_network, load_model

    if (Path(name) / "card.json").is_file():
        return load_model(name).network
    own = name in ("blocks", "residual")
    settings = NetworkSettings(
        architecture="blocks" if own else name,
        residual=name == "residual",
        orientations=orientations,  # type: ignore[arg-type]
    )
    return build_network(shape, n_classes, settings=settings)
