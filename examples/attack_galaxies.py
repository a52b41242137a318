"""Adversarial attacks on two models: how much turns spirals into ellipticals, with and without batch norm?

    python examples/attack_galaxies.py CATALOG MODEL OTHER_MODEL [number of galaxies]

Uses galaxies of the test sets of both models (their test.ecsv) that both models classify correctly. For
spirals: the smallest limit per pixel (epsilon) that turns them into ellipticals, without constraints, and
if the PSF is known, with light convolved by the PSF at constant flux; the minimal perturbation; a
universal perturbation, made from one half of the galaxies and tested on the other; and for pictures,
whether the change survives rounding to 8 bits. Then, for all classes: the smallest limit that leads away
from the true class, compared between the models galaxy by galaxy, with 95 % bootstrap intervals.

Limits are in sigma if the noise is known, else in display values (0 to 255). There is one training of
each model, so the intervals do not include the standard deviation between seeds.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from galcnn import Target, load_cutout, load_model, predict
from galcnn.adversarial import (
    PGD,
    MinimalPerturbation,
    SmallestEpsilon,
    UniversalPerturbation,
    attack,
    away_from,
    visibility,
)
from galcnn.adversarial.perturbation import boxed, prepared_alike
from galcnn.catalog import read_table
from galcnn.experiment import galaxies_of
from galcnn.explain import Synthesis
from galcnn.model import prepare

catalog, *folders = sys.argv[1:4]
number = int(sys.argv[4]) if len(sys.argv) > 4 else 60
models = {Path(folder).name: load_model(folder) for folder in folders}
first = next(iter(models.values()))
table = galaxies_of(first.card, catalog)
tests = [read_table(Path(folder) / "test.ecsv", texts=["id"]) for folder in folders]
right = [{str(row["id"]) for row in test if row["class"] == row["true_class"]} for test in tests]
rows = [row for row in range(len(table)) if table.ids[row] in set.intersection(*right)]
rng = np.random.default_rng(0)
rng.shuffle(rows)
paths = table.table["image"]


def load(row):
    return prepare(load_cutout(str(paths[row])), first.card.inputs)


def interval(values: np.ndarray, of=np.median) -> str:
    draws = [of(rng.choice(values, len(values))) for _ in range(2000)]
    low, high = np.percentile(draws, [2.5, 97.5], method="inverted_cdf")  # some may be infinite
    return f"{of(values):.3g} [{low:.3g}, {high:.3g}]"


def largest(made: list[Synthesis]) -> np.ndarray:
    seen = [visibility(one) for one in made]
    return np.array([one.largest if np.isnan(one.largest_sigma) else one.largest_sigma for one in seen])


def enough(made: list[Synthesis]) -> np.ndarray:
    """Smallest successful limit of each galaxy; infinite if the attack failed."""
    return np.where([one.success for one in made], largest(made), np.inf)


def compared(both: dict[str, np.ndarray]) -> str:
    """Compare two models galaxy by galaxy; if the attack failed for one, the ratio is infinite or zero."""
    (one, own), (other, theirs) = both.items()
    known = np.isfinite(own) | np.isfinite(theirs)
    ratio = own[known] / theirs[known]
    shares = [interval(side.astype(float), np.mean) for side in (ratio < 1, ratio > 1)]
    return (
        f"{one} over {other} {interval(ratio)} (median of {len(ratio)}); "
        f"{one} is misclassified at less in {shares[0]}, {other} in {shares[1]}"
    )


some = [load(row) for row in rows[:1]]
unit = "image" if some[0].sigma is None else "sigma"
shown = "of 255" if unit == "image" else "sigma"
quick = PGD(unit=unit, steps=10, start="image")
spirals = [row for row in rows if table.labels[row] == "spiral"][:number]
cutouts = [load(row) for row in spirals]
turning: dict[str, np.ndarray] = {}
print(f"{len(spirals)} spirals; how much turns them into ellipticals, median [95 %]:")
for name, trained in models.items():
    target = Target.of_class("elliptical", trained.classes)
    attacks = {
        "smallest": SmallestEpsilon(quick, 0.03),
        "minimal (L2)": MinimalPerturbation(unit, bisections=2, iterations=20),
    }
    if cutouts[0].psf is not None:
        seen_through = replace(quick, light="psf", flux="conserved")
        attacks["smallest, PSF, flux conserved"] = SmallestEpsilon(seen_through, 0.03)
    results = {}
    for kind, method in attacks.items():
        own = cutouts[:8] if isinstance(method, MinimalPerturbation) else cutouts  # one by one: slow
        made = [one for (one,) in attack(trained, own, attacks=[method], target=target)]
        results[kind] = made
        won = [one for one in made if one.success]
        seen = [visibility(one) for one in won]
        words = f"{name:<9} {kind:<30} {len(won)} of {len(made)}; largest {interval(largest(won))} {shown}"
        if unit == "sigma":
            words += (
                f", chi-square per degree {interval(np.array([one.chi_square for one in seen]))}, "
                f"norm {interval(np.array([one.norm_sigma for one in seen]))}, "
                f"{sum(one.visible for one in seen)} visible"
            )
        else:
            rounded = [
                replace(load(row), flux=np.rint(one.image)) for row, one in zip(spirals, made, strict=False)
            ]
            alive = [answer == "elliptical" for answer in predict(trained, rounded).best]
            words += f", rms {interval(np.array([one.rms for one in seen]))}, {sum(alive)} after rounding"
        print(words, flush=True)
    turning[name] = enough(results["smallest"])
    epsilon = float(np.median(turning[name]))
    for times in (1, 4):
        universal = boxed(UniversalPerturbation(times * epsilon, unit=unit, passes=2), trained)
        half = prepared_alike(trained, cutouts[::2], [str(row) for row in spirals[::2]])
        fixed = universal.fitted(trained.model, half.images, target, context=half.context)
        new = [one.success for (one,) in attack(trained, cutouts[1::2], attacks=[fixed], target=target)]
        old = [one.success for (one,) in attack(trained, cutouts[::2], attacks=[fixed], target=target)]
        print(
            f"{name:<9} universal, {times * epsilon:.3g} {shown}: {sum(new)} of {len(new)} new galaxies, "
            f"{sum(old)} of {len(old)} that it is made of",
            flush=True,
        )

print("spirals to ellipticals, galaxy by galaxy: " + compared(turning), flush=True)
everything = rows[:number]
cutouts = [load(row) for row in everything]
epsilons: dict[str, np.ndarray] = {}
for name, trained in models.items():
    targets = [away_from(table.labels[row], trained.classes) for row in everything]
    made = attack(trained, cutouts, attacks=[SmallestEpsilon(quick, 0.03)], target=targets)
    epsilons[name] = enough([one for (one,) in made])
    won = np.isfinite(epsilons[name])
    print(f"{name:<9} away from the truth: {interval(epsilons[name])} {shown}; {won.sum()} of {len(won)}")
print("away from the truth, galaxy by galaxy: " + compared(epsilons))
