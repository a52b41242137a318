"""galcnn calibrate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from galcnn.cli import options
from galcnn.cli.answers import tell

if TYPE_CHECKING:
    from galcnn.uncertainty.calibration import Kind
    from galcnn.uncertainty.prediction_sets import Rule


@click.command(name="calibrate")
@click.argument("model")
@click.option("--catalog", metavar="FILE", help="Where the catalog that it was trained on lies now.")
@click.option(
    "--kind", type=click.Choice(["temperature", "vector"]), default="temperature", show_default=True
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Share of galaxies whose set of classes holds the true one.",
)
@click.option(
    "--rule",
    type=click.Choice(["threshold", "adaptive"]),
    default="threshold",
    show_default=True,
    help="Of the sets: the smallest, or never empty.",
)
@click.option("--per-class", is_flag=True, help="Promise the coverage for the galaxies of each class.")
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of galaxies like the training set that are warned of all the same.",
)
@options.quiet
def command(
    model: str,
    catalog: str | None,
    kind: Kind,
    coverage: float,
    rule: Rule,
    per_class: bool,
    false_alarms: float,
    quiet: bool,
) -> None:
    """Measure how far a model can be believed, and keep it as MODEL/doubts.json.

    \b
    galcnn calibrate model
    galcnn calibrate model --catalog labels.csv --coverage 0.95 --per-class

    Fitted on the validation galaxies: the temperature of its probabilities, sets of classes that
    hold the true one as often as promised, and the range of the training set. Each is checked on
    the test set, which took no part.
    """
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow()
    from galcnn.experiment import measure_doubts
    from galcnn.experiment.uncertainty import DoubtSettings

    doubts = measure_doubts(
        model,
        catalog=catalog,
        settings=DoubtSettings(kind, coverage, rule, per_class, false_alarms),
        progress=options.progress(quiet),
    )
    for line in doubts.lines():
        click.echo(line)
    tell(measured=doubts.measured)
    click.echo(f"wrote {model}/doubts.json")
