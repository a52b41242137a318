"""galcnn devices."""

from __future__ import annotations

import click

from galcnn.cli import options
from galcnn.cli.answers import show_table


@click.command(name="devices")
@click.option("--check", is_flag=True, help="Train a small network there and on the CPU, and compare.")
@options.device
@click.option("--strategy", type=click.Choice(["one", "mirrored"]), default="one", show_default=True)
@options.replicas
@click.option(
    "--precision",
    type=click.Choice(["float32", "mixed_float16", "mixed_bfloat16"]),
    default="float32",
    show_default=True,
)
def command(check: bool, device: str, strategy: str, replicas: int | None, precision: str) -> None:
    """Show the devices for training; with --check, test them.

    \b
    galcnn devices
    galcnn devices --check --device gpu --precision mixed_float16
    galcnn devices --check --device gpu --strategy mirrored

    The test trains a small network on these devices and on the CPU. The exit code is 2 if the losses
    differ by more than 2 % (20 % in half precision).
    """
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
