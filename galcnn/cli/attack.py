"""galcnn attack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galcnn.adversarial.margins import Unit
    from galcnn.dataset import InputFiles
    from galcnn.model import TrainedModel


@click.command(name="attack", cls=options.Command)
@click.argument("model")
@click.argument("cutouts", nargs=-1, metavar="[IMAGE]...")
@click.option(
    "--attack",
    "words",
    multiple=True,
    metavar="NAME",
    help="Attack: fgsm, pgd, smallest, minimal, universal, sky_ascent, sky_evolution or all, with settings "
    "after a colon.  [default: fgsm, pgd and minimal; pgd for --curve]",
)
@click.option(
    "--target",
    metavar="CLASS",
    help="Class, or CLASS-CLASS for a pair.  [default: any but the predicted class]",
)
@click.option("--of", metavar="CLASS", help="Attack only galaxies with this predicted class.")
@click.option(
    "--unit",
    type=click.Choice(["sigma", "image"]),
    help="Unit of epsilons and norms.  [default: sigma if the noise of the first image is known]",
)
@click.option("--curve", is_flag=True, help="Measure accuracy against epsilon, for a catalog with classes.")
@click.option(
    "--epsilons",
    metavar="X,X,...",
    help="Largest changes of a pixel for --curve, in the unit.  [default: 0.02,0.05,0.1,0.2,0.5,1,2,5]",
)
@options.or_catalog
@options.one_galaxy
@options.files
@options.max_unreadable
@click.option("--out", required=True, metavar="DIR", help="Output folder; existing results are kept.")
@click.option("--save", metavar="PNG", help="Also draw the first results, or the curve.")
@options.orientations
@options.overwrite
@options.seed
@options.device
@options.quiet
def command(
    model: str,
    cutouts: tuple[str, ...],
    words: tuple[str, ...],
    target: str | None,
    of: str | None,
    unit: Unit | None,
    curve: bool,
    epsilons: str | None,
    catalog: str | None,
    number: int | None,
    one_galaxy: bool,
    max_unreadable: float,
    out: str,
    save: str | None,
    overwrite: bool,
    seed: int,
    device: str,
    quiet: bool,
    orientations: int | None,
    **given: Any,
) -> None:
    """Attack a model with adversarial images of galaxies.

    \b
    galcnn attack model galaxy.fits --attack all --target elliptical --out attack --save attack.png
    galcnn attack model *.fits --attack pgd:epsilon=2,light=psf,flux=conserved --out attack
    galcnn attack model --catalog sky/catalog.ecsv --of spiral --target elliptical \\
        --attack smallest --attack minimal --attack universal:epsilon=1 --out spirals
    galcnn attack model --catalog sky/catalog.ecsv --curve --out robustness

    Galaxies are changed until the model errs, or blank sky until the model assigns a class. From a
    catalog, by default, the test galaxies are used, which the model was not trained on. Each galaxy gets
    ID-attack.fits with image, start, difference, ten times the difference, noise, and difference in
    sigma. The table attacks.ecsv lists the changes in sigma and magnitudes, whether the attack
    succeeded (from an independent prediction), and whether an astronomer could see the change. An
    interrupted run is continued by the same command. A model that averages 8 orientations takes 8 times
    as long as with --orientations 1.
    """
    options.check_galaxies(cutouts, catalog)
    if curve and not catalog:
        raise click.UsageError("Expected --catalog FILE with --curve.")
    if curve and (target or of):
        raise click.UsageError(
            "Expected no --target and --of with --curve: it attacks away from the true class."
        )
    if epsilons and not curve:
        raise click.UsageError("Expected --curve with --epsilons; an attack has its own: pgd:epsilon=2.")
    values = options.numbers("--epsilons", epsilons) if epsilons else (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
    reading = options.reading(given)
    options.check_folder(out, overwrite=overwrite)
    if save is not None:
        options.check_figure(save, inputs=cutouts, overwrite=overwrite)
    sources = options.paths_by_id(cutouts, one_galaxy=one_galaxy) if cutouts else {}
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow(device=device)
    from galcnn.adversarial import attacks_by_name
    from galcnn.adversarial.margins import natural_unit
    from galcnn.dataset import InputFiles
    from galcnn.model import load_model

    trained = load_model(model).with_orientations(orientations).with_render(given["render"])
    attacks_by_name(words)  # refused before any image is read
    labels: list[str] = []
    if catalog:
        galaxies = options.catalog_galaxies(
            trained.card,
            given | {"catalog": catalog, "number": number},
            classes=trained.classes if curve else None,
        )
        labels = [str(label) for label in galaxies.labels] if curve else []
        files = InputFiles.of(galaxies, given["folder"], **reading)
    else:
        files = InputFiles(sources, **reading)
    chosen = unit or natural_unit(trained, files)
    default = ("pgd",) if curve else ("fgsm", "pgd", "minimal")
    attacks = attacks_by_name(words or default, unit=chosen, seed=seed)
    if curve:
        _curve(trained, files, labels, attacks, values, max_unreadable, seed, out, save, overwrite, quiet)
    else:
        _files(trained, files, attacks, target, of, out, save, overwrite, quiet)


def _files(
    trained: TrainedModel,
    files: InputFiles,
    attacks: Sequence[object],
    target: str | None,
    of: str | None,
    out: str,
    save: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    from galcnn.adversarial.visible import summary
    from galcnn.pipeline import AttackSettings, attack_files

    table = attack_files(
        trained,
        files,
        AttackSettings(tuple(attacks), target, of),  # type: ignore[arg-type]
        out,
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    options.tell_left_out(table.meta["left_out"])
    for line in summary(table):
        click.echo(line)
    click.echo(f"wrote {out}/attacks.ecsv and {len(set(table['file']))} files")
    if save:
        ids: dict[str, str] = {}  # of the first row of each file, which is what the figure shows
        for row in table:
            ids.setdefault(str(row["file"]), str(row["id"]))
        made = {name: Path(out, file) for file, name in ids.items()}
        options.save_syntheses(made, save, classes=trained.classes)


def _curve(
    trained: TrainedModel,
    files: InputFiles,
    labels: list[str],
    attacks: Sequence[object],
    values: Sequence[float],
    max_unreadable: float,
    seed: int,
    out: str,
    save: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    from galcnn.adversarial import FGSM, PGD
    from galcnn.pipeline import Robustness, robustness_curve

    if len(attacks) != 1 or not isinstance(attacks[0], FGSM | PGD):
        raise click.UsageError("Expected one attack with an epsilon for a curve: pgd or fgsm.")
    attack = attacks[0]
    table = robustness_curve(
        trained,
        files,
        labels,
        Robustness(attack, tuple(values), seed),
        out,
        max_unreadable=max_unreadable,
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    options.tell_left_out(table.meta["left_out"])
    for row in table:
        click.echo(
            f"{row['epsilon']:8g} {attack.unit}: accuracy {row['accuracy']:.3f} "
            f"[{row['low']:.3f}, {row['high']:.3f}], random {row['random_accuracy']:.3f}"
        )
    click.echo(f"wrote {out}/robustness.ecsv: {table['n'][0]} galaxies")
    if save:
        from galcnn.viewers import save_figure
        from galcnn.viewers.plots.adversarial import robustness_figure

        unit = attack.unit if attack.unit == "sigma" else trained.card.inputs.unit
        save_figure(robustness_figure({trained.card.name: table}, unit=unit), save)
        click.echo(f"wrote {save}")
