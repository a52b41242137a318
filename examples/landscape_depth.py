"""Is the loss around a deep network rough without skips and normalisation? (Li et al. 2018)

``python examples/landscape_depth.py --out depth`` trains three networks with three seeds each on the same
simulated galaxies. It takes some minutes on one core; an interrupted run is resumed. It writes the
differences of roughness to ``depth/claims.ecsv``, and ``depth/networks.ecsv`` and ``depth/landscape.png``
(first seed).
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.table import Table
from lecture.claims import Claim, Criterion, claims_table, measure_claim

from galcnn import read_catalog
from galcnn._runtime.progress import bars
from galcnn.catalog import write_table
from galcnn.dataset import read_dataset
from galcnn.diagnostics import (
    Grid,
    Objective,
    departure_from_convexity,
    random_slice,
    read_surface,
    write_surface,
)
from galcnn.model import NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.pipeline import SurveySettings, write_survey
from galcnn.simulation import simulate_catalog
from galcnn.training import TrainingSettings, fit
from galcnn.viewers import landscape_figure, save_figure

SEEDS = (0, 1, 2)
DEEP = {"widths": (8, 8, 8, 8), "depth": 5, "stem": 8, "dropout": 0.0}
NETWORKS = {
    "shallow (3 convolutions)": DEEP | {"widths": (8, 8), "depth": 1, "normalization": "none"},
    "deep (21), plain": DEEP | {"normalization": "none"},
    "deep, skips and batch norm": DEEP | {"normalization": "batch", "residual": True},
}
PLAIN = "deep (21), plain"
HOW = TrainingSettings(
    epochs=20, batch_size=16, optimizer="adam", learning_rate=1e-3, label_smoothing=0.0, patience=None
)


def surface(name, seed):
    """Train a network and compute the loss around it, or read the result of an earlier run."""
    path = GIVEN.out / "surfaces" / f"{list(NETWORKS).index(name)}-seed{seed}.npz"
    if not path.exists():
        training, rest = DATA.select(np.arange(240)), DATA.select(np.arange(240, 480))
        model = assemble(
            fit_preprocessing(training.images),
            build_network((32, 32, 3), 4, settings=NetworkSettings(**NETWORKS[name]), seed=seed),
        )
        history = fit(model, training, rest, settings=HOW, seed=seed)
        seen = np.asarray(model.get_layer("preprocessing")(training.images))
        objective = Objective(model.get_layer("network"), seen, training.labels)
        found = random_slice(objective, grid=Grid(15), seed=seed)
        found.facts["accuracy"] = max(history["val_accuracy"])
        write_surface(found, path)
    return read_surface(path)


def rougher(seed):
    plain = surface(PLAIN, seed).roughness
    return {f"than {name}": plain - surface(name, seed).roughness for name in NETWORKS if name != PLAIN}


CLAIM = Claim(
    "rougher",
    "A deep network without skips or normalisation has the rougher landscape",
    {
        f"than {name}": Criterion("roughness, plain less the other", 0.05)
        for name in NETWORKS
        if name != PLAIN
    },
    rougher,
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("depth"))
    GIVEN = parser.parse_args()
    if not (GIVEN.out / "sky" / "catalog.ecsv").exists():
        drawn = simulate_catalog(480, seed=0, classes=("elliptical", "spiral", "edge_on", "merger"))
        write_survey(drawn, GIVEN.out / "sky", settings=SurveySettings(seed=0, size=32), progress=bars)
    DATA = read_dataset(read_catalog(GIVEN.out / "sky" / "catalog.ecsv"), progress=bars)
    table = claims_table(
        [CLAIM], {CLAIM.key: measure_claim(CLAIM, SEEDS, GIVEN.out / "effects", progress=bars)}
    )
    write_table(table, GIVEN.out / "claims.ecsv")
    rows = []
    for name in NETWORKS:
        of_name = [surface(name, seed) for seed in SEEDS]
        middle = [float(s.loss[s.loss.shape[0] // 2, s.loss.shape[1] // 2]) for s in of_name]
        rows.append(
            {
                "network": name,
                "loss": np.median(middle),
                "accuracy": np.median([s.facts["accuracy"] for s in of_name]),
                "roughness": np.median([s.roughness for s in of_name]),
                "roughness_low": min(s.roughness for s in of_name),
                "roughness_high": max(s.roughness for s in of_name),
                "variation": np.median([s.variation for s in of_name]),
                "log_roughness": departure_from_convexity(np.log(of_name[0].loss)),
                "greatest": of_name[0].loss.max(),
            }
        )
    write_table(Table(rows=rows), GIVEN.out / "networks.ecsv")
    save_figure(
        landscape_figure({name: surface(name, SEEDS[0]) for name in NETWORKS}), GIVEN.out / "landscape.png"
    )
    for row in rows:
        print(
            f"{row['network']:<28} loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}, roughness "
            f"{row['roughness']:.3f} [{row['roughness_low']:.3f}, {row['roughness_high']:.3f}], "
            f"variation {row['variation']:.2f}; of the first seed: roughness of ln(loss) "
            f"{row['log_roughness']:.3f}, greatest loss {row['greatest']:.3g}"
        )
    for row in table:
        print(
            f"rougher {row['part']:<32} {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]: "
            f"{row['part_verdict']}"
        )
