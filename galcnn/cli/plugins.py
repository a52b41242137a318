"""galcnn plugins."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command(name="plugins")
@click.option("--check", is_flag=True, help="Import each of them.")
def command(check: bool) -> None:
    """List surveys and explainers, our own and those of other packages.

    \b
    galcnn plugins
    galcnn plugins --check
    """
    from galcnn import plugins
    from galcnn.errors import PluginError

    if check:
        from galcnn.cli.quiet import load_tensorflow

        load_tensorflow()
    broken = 0
    for group in (plugins.SURVEYS, plugins.EXPLAINERS):
        click.echo(group)
        for plugin in plugins.available(group).values():
            state = ""
            if check:
                try:
                    plugins.load(group, plugin.name)
                    state = "  ok"
                except PluginError as error:
                    broken += 1
                    state = f"  BROKEN: {error}"
            click.echo(f"  {plugin.name:<14} {plugin.package} {plugin.version:<10} {plugin.target}{state}")
    if broken:
        raise PluginError(f"{broken} plugins cannot be imported.")
