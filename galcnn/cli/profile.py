"""galcnn profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from galcnn.cli import options
from galcnn.cli.answers import show_table, tell_rows

if TYPE_CHECKING:
    import keras


_DEFAULT = ("blocks", "residual", "MobileNetV3Small", "EfficientNetB0", "ResNet50V2")


@click.command(name="profile", cls=options.Command)
@click.argument("names", nargs=-1)
@options.section(
    "Networks",
    click.option(
        "--size", type=click.IntRange(min=8), default=96, show_default=True, help="Image side in pixels."
    ),
    click.option(
        "--n-bands", type=click.IntRange(min=1), default=3, show_default=True, help="Number of bands."
    ),
    click.option(
        "--n-classes", type=click.IntRange(min=2), default=4, show_default=True, help="Number of classes."
    ),
    click.option("--pixel-scale", type=float, help="Pixel scale, to give the receptive field in arcsec."),
    click.option(
        "--orientations",
        type=click.Choice(["1", "4", "8"]),
        default="1",
        show_default=True,
        help="Number of orientations whose feature maps are averaged.",
    ),
    click.option("--by-layer", is_flag=True, help="Show one row per layer of a single network."),
)
@options.section(
    "Devices",
    click.option("--devices", is_flag=True, help="Show the devices for training, in place of networks."),
    click.option(
        "--check", is_flag=True, help="Train a small network on the devices and on the CPU, and compare."
    ),
    options.device,
    click.option(
        "--strategy",
        type=click.Choice(["one", "mirrored"]),
        default="one",
        show_default=True,
        help="Train on one device, or on several GPUs of this machine.",
    ),
    options.replicas,
    click.option(
        "--precision",
        type=click.Choice(["float32", "mixed_float16", "mixed_bfloat16"]),
        default="float32",
        show_default=True,
        help="Precision of the numbers in the test.",
    ),
)
@click.option("--out", metavar="FILE", help="Also write the table of networks (ECSV, CSV ...).")
@options.overwrite
def command(
    names: Sequence[str],
    size: int,
    n_bands: int,
    n_classes: int,
    pixel_scale: float | None,
    orientations: str,
    by_layer: bool,
    devices: bool,
    check: bool,
    device: str,
    strategy: str,
    replicas: int | None,
    precision: str,
    out: str | None,
    overwrite: bool,
) -> None:
    """Show receptive field, memory and cost of networks, or devices.

    \b
    galcnn profile
    galcnn profile blocks residual ResNet50V2 --size 64 --n-bands 5 --pixel-scale 0.262
    galcnn profile model --by-layer
    galcnn profile --devices
    galcnn profile --devices --check --device gpu --precision mixed_float16
    galcnn profile --devices --check --device gpu --strategy mirrored

    NAMES are `blocks`, `residual`, networks of keras.applications, or folders of trained models.
    Memory is given for the weights, and for the activations kept per image in training. Operations are
    the multiplications and additions of convolutions and dense layers per image.

    --devices --check trains a small network on these devices and on the CPU. The exit code is 2 if the
    losses differ by more than 2 % (20 % in half precision).
    """
    if devices:
        if names or out or by_layer:
            raise click.UsageError("Expected --devices without NAMES, --by-layer and --out.")
        _devices(check, device, strategy, replicas, precision)
        return
    if check or device != "auto" or strategy != "one" or replicas or precision != "float32":
        raise click.UsageError(
            "Expected --devices with --check, --device, --strategy, --replicas and --precision."
        )
    shape = (size, size, n_bands)
    from galcnn.catalog import write_table
    from galcnn.cli.quiet import load_tensorflow

    options.check_table(out, overwrite=overwrite)
    load_tensorflow()
    from dataclasses import asdict

    from astropy.table import Table

    from galcnn.model import network_table
    from galcnn.model.profile import layer_costs

    chosen = [(name, _network(name, shape, n_classes, int(orientations))) for name in names or _DEFAULT]
    if by_layer:
        if len(chosen) != 1:
            raise click.UsageError("Expected one network with --by-layer.")
        rows = [asdict(cost) for cost in layer_costs(chosen[0][1])]
        table = Table([row | {"shape": "x".join(map(str, row["shape"]))} for row in rows])
    else:
        table = network_table(chosen, pixel_scale=pixel_scale)
    tell_rows(table)
    if out:
        write_table(table, out)


def _network(name: str, shape: tuple[int, int, int], n_classes: int, orientations: int) -> keras.Model:
    from galcnn.model import NetworkSettings, build_network, load_model, model_folder

    if (model_folder(name) / "card.json").is_file():
        return load_model(name).network
    own = name in ("blocks", "residual")
    settings = NetworkSettings(
        architecture="blocks" if own else name,
        residual=name == "residual",
        orientations=orientations,  # type: ignore[arg-type]
    )
    return build_network(shape, n_classes, settings=settings)


def _devices(check: bool, device: str, strategy: str, replicas: int | None, precision: str) -> None:
    from galcnn.cli.quiet import load_tensorflow, muted_stderr

    load_tensorflow(start=False)
    from galcnn.model import DeviceSettings
    from galcnn.model.devices import device_line, make_strategy

    settings = DeviceSettings(device, strategy, replicas)  # type: ignore[arg-type]
    with muted_stderr():
        line = device_line(make_strategy(settings))
    click.echo(line)
    if not check:
        return
    from galcnn.diagnostics.devices import check_devices

    table = check_devices(settings, precision=precision)
    show_table(table)
    difference, limit = table.meta["difference"], table.meta["limit"]
    if not table.meta["agree"]:
        raise click.ClickException(f"the losses differ by up to {difference:.2%}, more than {limit:.0%}")
    click.echo(f"the losses differ by up to {difference:.2%}: they agree within {limit:.0%}")
