"""Where do the maps of a Galaxy Zoo network lie?

    python examples/galaxy_zoo_where.py MODEL labels.csv [galaxies of a class]

Uses galaxies of the model's test set. For each method, the energy (sum of squares) of the map in each
region of photutils' segmentation is divided by the region's share of the pixels: 1 for a map of random
values. The light itself is included for comparison. Only pixels in the network's field of view count.

The first table has galaxy, neighbours and sky. The others are for the inside of the galaxy, by predicted
class: bulge (the ellipse with a fifth of the light), arms (pixels brighter than the median at their radius)
and disc, also relative to the light. All intervals are 95 % bootstrap intervals.
"""

import sys
from pathlib import Path

import numpy as np
from astropy.table import Table

from galcnn import Cutout, TrainedModel, load_cutout, load_model, predict, read_catalog
from galcnn.evaluation import Regions, bootstrap, energy_shares, segmented, structure
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
from galcnn.model import looked_at, prepare

METHODS = [
    Saliency(),
    SmoothGrad(n=15),
    IntegratedGradients(n=16, baseline="zero"),
    GuidedBackprop(),
    CAM(),
    GradCAM(),
    Occlusion(patch=6, stride=6),
]


def sample(
    folder: Path, labels: Path, number: int, classes: tuple[str, ...]
) -> tuple[TrainedModel, list[Cutout], list[Regions], np.ndarray]:
    """Load well segmented galaxies of the test set, with their true classes."""
    trained = load_model(folder)
    catalog = read_catalog(labels, columns={"id": "objid"}).table
    files = dict(zip(map(str, catalog["id"]), catalog["file"], strict=True))
    tested = Table.read(folder / "test.ecsv")
    rng = np.random.default_rng(0)
    cutouts, regions, true = [], [], []
    for name in classes:
        found = 0
        for one in rng.permutation([str(row["id"]) for row in tested[tested["true_class"] == name]]):
            cutout = prepare(load_cutout(labels.parent / str(files[one])), trained.card.inputs, fit=True)
            try:
                parts = segmented(cutout)
            except ValueError:
                continue
            ny, nx = parts.galaxy.shape
            if parts.galaxy.sum() >= 100 and parts.galaxy[ny // 2, nx // 2] and found < number:
                found += 1
                cutouts.append(cutout)
                regions.append(parts)
                true.append(name)
    return trained, cutouts, regions, np.array(true)


def interval(measure, *columns: np.ndarray) -> str:
    """Statistic of some columns (one row per galaxy) with its 95 % bootstrap interval, as text."""
    found = bootstrap(
        lambda rows: np.array([measure(*(column[rows] for column in columns))]),
        np.zeros(len(columns[0])),
        n_bootstrap=1000,
    )
    return "{:.2f} [{:.2f}, {:.2f}]".format(*(float(x[0]) for x in found))


def show(heading: str, columns: list[str], rows: dict[str, list[str]]) -> None:
    print(f"\n{heading}\n{'':<22}" + "".join(f"{name:<20}" for name in columns))
    for name, cells in rows.items():
        print(f"{name:<22}" + "".join(f"{cell:<20}" for cell in cells), flush=True)


def densities(rows: list[dict[str, float]], part: str) -> np.ndarray:
    return np.array([row.get(f"density_{part}", np.nan) for row in rows])


def over(own: np.ndarray, light: np.ndarray) -> float:
    return np.nanmean(own) / np.nanmean(light)


def main(folder: Path, labels: Path, number: int) -> None:
    trained, cutouts, regions, _ = sample(folder, labels, number, ("edge_on", "elliptical", "spiral"))
    structures = [structure(cutout, parts) for cutout, parts in zip(cutouts, regions, strict=True)]
    answers = np.array(predict(trained, cutouts).best)
    seen = looked_at(trained.network, trained.card.inputs.shape)
    where: dict[str, list[dict[str, float]]] = {}
    inside: dict[str, list[dict[str, float]]] = {}

    def place(method: str, map_: np.ndarray, row: int) -> None:
        map_ = np.where(seen, map_, np.nan)
        empty = not np.nanmax(np.abs(map_)) > 0  # for example a Grad-CAM without positive evidence
        for found, parts in ((where, regions[row]), (inside, structures[row])):
            found.setdefault(method, []).append({} if empty else energy_shares(map_, parts))

    for row, cutout in enumerate(cutouts):
        place("light", cutout.flux - np.median(cutout.flux, axis=(1, 2), keepdims=True), row)
    for start in range(0, len(cutouts), 50):
        piece = explain(trained, cutouts[start : start + 50], explainers=METHODS, wrt="stretched")
        for row, maps in enumerate(piece, start):
            for one in maps:
                place(one.method, one.attribution, row)

    names = ["galaxy", "neighbours", "sky"]
    rows = {
        method: [interval(np.nanmean, densities(found, part)) for part in names]
        for method, found in where.items()
    }
    show(f"{len(cutouts)} galaxies, the {seen.mean():.0%} in sight: density of energy on", names, rows)
    for answer in np.unique(answers):
        chosen = np.flatnonzero(answers == answer)
        if len(chosen) < 20:
            continue
        rows = {method: [] for method in inside}
        areas = []
        for part in ("bulge", "arms", "disc"):
            pixels = [vars(structures[k])[part].sum() / regions[k].galaxy.sum() for k in chosen]
            areas.append(f"{np.mean(pixels):.0%} {part}")
            light = densities(inside["light"], part)[chosen]
            for method, found in inside.items():
                own = densities(found, part)[chosen]
                rows[method] += [interval(np.nanmean, own), interval(over, own, light)]
        heading = (
            f"answer {answer}, {len(chosen)} galaxies ({', '.join(areas)}): density inside the galaxy on"
        )
        show(heading, ["bulge", "over light", "arms", "over light", "disc", "over light"], rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 100)
