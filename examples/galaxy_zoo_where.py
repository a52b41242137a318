"""Do the maps of a Galaxy Zoo network lie on the galaxy, on its neighbours, or on the sky?

    python examples/galaxy_zoo_where.py MODEL labels.csv [number of galaxies]

Energy (squares) of each method's map on photutils' segmentation, over the share of the pixels there:
1 is a map that knows of nothing. Galaxies of the whole table that have neighbours (most of them were
trained on), with 95 % bootstrap intervals; the light itself for comparison. Then the hardest question:
are the neighbours a clue? They are painted over with sky, and answers that change are counted, against
as many painted pixels of sky.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from galcnn import load_cutout, load_model, predict, read_catalog
from galcnn.evaluation.regions import energy_shares, segmented
from galcnn.explain import (
    CAM,
    GradCAM,
    GuidedBackprop,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
    explain,
)
from galcnn.inputs import prepare

folder, table = sys.argv[1], Path(sys.argv[2])
number = int(sys.argv[3]) if len(sys.argv) > 3 else 300
trained = load_model(folder)
catalog = read_catalog(table, columns={"id": "objid"}).table
rng = np.random.default_rng(0)
cutouts, regions = [], []
for row in rng.permutation(len(catalog)):
    file = table.parent / str(catalog["file"][row])
    cutout = prepare(load_cutout(file), trained.card.inputs, fit=True)
    try:
        parts = segmented(cutout)
    except ValueError:
        continue
    if parts.neighbours.sum() >= 20 and parts.galaxy.sum() >= 50:
        cutouts.append(cutout)
        regions.append(parts)
    if len(cutouts) == number:
        break


def interval(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    means = [rng.choice(known, len(known)).mean() for _ in range(1000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{known.mean():5.2f} [{low:.2f}, {high:.2f}]"


methods = [
    Saliency(),
    SmoothGrad(n=15),
    IntegratedGradients(n=16),
    GuidedBackprop(),
    CAM(),
    GradCAM(),
    Occlusion(),
]
found: dict[str, list[dict[str, float]]] = {"light": []}
for start in range(0, len(cutouts), 50):
    piece = slice(start, start + 50)
    for cutout, parts in zip(cutouts[piece], regions[piece], strict=True):
        found["light"].append(energy_shares(cutout.flux - np.median(cutout.flux), parts))
    for maps, parts in zip(
        explain(trained, cutouts[piece], explainers=methods, wrt="stretched"), regions[piece], strict=True
    ):
        for one in maps:
            found.setdefault(one.method, []).append(energy_shares(one.attribution, parts))
print(f"{len(cutouts)} galaxies with neighbours; density of energy on")
print(f"{'':<22}{'galaxy':<22}{'neighbours':<22}{'sky':<22}")
for name, rows in found.items():
    cells = [
        interval(np.array([row[f"density_{part}"] for row in rows]))
        for part in ("galaxy", "neighbours", "sky")
    ]
    print(f"{name:<22}" + "".join(f"{cell:<22}" for cell in cells))

painted: dict[str, list] = {"neighbours": [], "sky": []}
for cutout, parts in zip(cutouts, regions, strict=True):
    chosen = np.zeros(parts.sky.size, dtype=bool)
    chosen[
        rng.choice(np.flatnonzero(parts.sky), min(parts.neighbours.sum(), parts.sky.sum()), replace=False)
    ] = True
    for name, where in (("neighbours", parts.neighbours), ("sky", chosen.reshape(parts.sky.shape))):
        flux = cutout.flux.copy()
        for plane in flux:
            plane[where] = rng.choice(plane[parts.sky], int(where.sum()))
        painted[name].append(replace(cutout, flux=flux))
before = predict(trained, cutouts)
for name, changed in painted.items():
    after = predict(trained, changed)
    flips = np.array([a != b for a, b in zip(before.best, after.best, strict=True)], dtype=float)
    moved = np.abs(after.probabilities - before.probabilities).max(axis=1)
    print(f"painted over {name:<11} answers that change: {interval(flips)}; they move {interval(moved)}")
