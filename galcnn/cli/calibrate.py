"""galcnn calibrate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from galcnn.cli import options
from galcnn.cli.answers import tell

if TYPE_CHECKING:
    from galcnn.uncertainty.calibration import Choice
    from galcnn.uncertainty.prediction_sets import Rule


@click.command(name="calibrate", cls=options.Command)
@click.argument("model")
@click.option("--catalog", metavar="FILE", help="Catalog of the training.  [default: its original path]")
@options.section(
    "Model of galcnn import",
    options.model_columns,
    click.option("--images", metavar="DIR", help="Folder of the images.  [default: as the catalog says]"),
    options.fit,
)
@click.option(
    "--kind",
    type=click.Choice(["auto", "temperature", "bias", "vector"]),
    default="auto",
    show_default=True,
    help="Calibration: one temperature; with an offset (bias), or an offset and a factor (vector), for each "
    "class; or the best of them in cross-validation (auto).",
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Fraction of galaxies whose prediction set contains the true class.",
)
@click.option(
    "--rule",
    type=click.Choice(["threshold", "adaptive"]),
    default="threshold",
    show_default=True,
    help="Prediction sets: threshold is the smallest, adaptive is never empty.",
)
@click.option("--per-class", is_flag=True, help="Guarantee the coverage for each class separately.")
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Fraction of in-distribution galaxies that are flagged as out of distribution.",
)
@options.device
@options.quiet
def command(
    model: str,
    catalog: str | None,
    image_column: str | tuple[str, ...] | None,
    label: str | None,
    id_: str | None,
    images: str | None,
    fit: bool,
    kind: Choice,
    coverage: float,
    rule: Rule,
    per_class: bool,
    false_alarms: float,
    device: str,
    quiet: bool,
) -> None:
    """Calibrate a model: probabilities, prediction sets, OOD limits.

    \b
    galcnn calibrate model
    galcnn calibrate model --catalog labels.csv --coverage 0.95 --per-class
    galcnn calibrate imported --catalog labels.csv --label morphology --image-column file

    Writes MODEL/uncertainty.json anew; galcnn train has written it with the defaults. Fitted to the
    validation galaxies: the calibration of the probabilities, prediction sets with the given coverage, and
    the limit beyond which a galaxy is out of distribution (OOD). Each is checked on the test set, which is
    not used for the fit.

    A model of galcnn import needs a labelled --catalog, which is split here. If the network was trained on
    some of its galaxies, the results are too good.
    """
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow(device=device)
    from galcnn.experiment import calibrate
    from galcnn.experiment.settings import CalibrationSettings

    record = calibrate(
        model,
        catalog=catalog,
        columns=options.chosen(image=image_column, class_=label, id=id_),
        images=images,
        fit=fit,
        settings=CalibrationSettings(True, kind, coverage, rule, per_class, false_alarms),
        progress=options.progress(quiet),
    )
    for line in record.lines():
        click.echo(line)
    tell(measured=record.measured)
    click.echo(f"wrote {model}/uncertainty.json")
