"""galcnn plugins."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options


@click.command(name="plugins", cls=options.Command)
@click.option("--check", is_flag=True, help="Import each plugin; exit code 2 if one is broken.")
@click.option("--survey", metavar="NAME", help="Test this survey by downloads of a galaxy.")
@click.option("--position", metavar="RA,DEC", help="Position of a galaxy well inside the survey, degrees.")
@click.option("--width", metavar="ANGLE", default="30arcsec", show_default=True, help="Side of the images.")
@options.survey
def command(check: bool, survey: str | None, **given: Any) -> None:
    """List surveys and explanation methods, including plugins.

    \b
    galcnn plugins
    galcnn plugins --check
    galcnn plugins --survey legacysurvey --position 188.613,2.188 --width 60arcsec
    """
    if survey is not None:
        _check_survey(survey, **given)
        return
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


def _check_survey(
    name: str,
    *,
    position: str | None,
    width: str,
    server: str | None,
    survey_option: tuple[str, ...],
) -> None:
    if position is None:
        raise click.UsageError("Expected --position RA,DEC of a galaxy in the survey.")
    from galcnn.errors import PluginError
    from galcnn.surveys import open_survey
    from galcnn.testing import check_survey

    survey = open_survey(name, server=server, options=options.pairs("--survey-option", survey_option, "="))
    try:
        check_survey(survey, options.sky_position(position), width=options.angle(width))
    except AssertionError as error:
        raise PluginError(str(error)) from error
    click.echo(f"{name}: ok, {survey.name} passes all checks of a survey")
