"""Make a model that ships with galcnn of a trained one: python examples/ready_models.py NAME TRAINED.

`simulated` is trained here, with the recipe of `galcnn demo` and a seed that no example uses, if there is no
TRAINED/model; `gz1` and `gz2-votes` are made of the trainings that docs/ready_models.md names. Weights,
preprocessing and figures are those of TRAINED, and its logits are the same to the bit. The state of the
optimizer, history, test table and paths of the machine are left out; what the model is, whom to cite and what
it is not for goes into its card.
"""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from galcnn._runtime.progress import bars
from galcnn.model import TrainedModel, load_model, save_model
from galcnn.pipeline import DemoSettings, run_demo
from galcnn.uncertainty import UncertaintyRecord

SHIPPED = Path(__file__).resolve().parents[1] / "galcnn" / "model" / "shipped"
#: Largest size of all models that ship, in bytes.
ROOM = 4_000_000
SDSS = [
    "pixels: SDSS, York et al. 2000, AJ 120, 1579; DR7: Abazajian et al. 2009, ApJS 182, 543",
    "colours of the pictures: Lupton et al. 2004, PASP 116, 133",
]
FRAME = "gri colour pictures scaled to the galaxy, central half, 96 pixels, JPEG; not shipped"
WEIGHTS = "weights: BSD-3-Clause, as galcnn. SDSS images are public with credit."
OF_ZOO = [
    "pictures of another frame, colours or survey without a check on labelled galaxies: galcnn evaluate",
    "class fractions of a population: probabilities hold for the frequencies of the training set (--prior)",
]
STATEMENTS = {
    "simulated": {
        "survey": "galcnn simulated survey: six classes drawn from parametric profiles",
        "pixels": "simulated; no image of the sky",
        "labels": "the parameters from which each galaxy was drawn",
        "licence": "BSD-3-Clause",
        "cite": ["galcnn (CITATION.cff); GalSim: Rowe et al. 2015, Astronomy and Computing 10, 121"],
        "not_for": ["real galaxies: it is for trying commands, and for tests"],
    },
    "gz1": {
        "survey": "Galaxy Zoo 1 on pictures of SDSS DR7",
        "pixels": f"SDSS DR7 {FRAME}",
        "labels": "majority of the votes of Galaxy Zoo 1, both spirals being one class; not shipped",
        "licence": f"{WEIGHTS} Galaxy Zoo 1 asks for citation; the set of pictures has no licence of its own",
        "cite": ["labels: Lintott et al. 2008, MNRAS 389, 1179, and 2011, MNRAS 410, 166", *SDSS],
        "not_for": [
            *OF_ZOO,
            "mergers: 88 among 5,293 galaxies; see their completeness and its interval",
            "lenticular galaxies, for which Galaxy Zoo 1 has no answer: most are elliptical here",
        ],
    },
    "gz2-votes": {
        "survey": "Galaxy Zoo 2 on pictures of SDSS (Kaggle's Galaxy Challenge)",
        "pixels": f"SDSS {FRAME}",
        "labels": "debiased vote fractions of Galaxy Zoo 2, 17 answers; not shipped",
        "licence": f"{WEIGHTS} The set of pictures is under the rules of the Galaxy Challenge; the same ones "
        "are CC BY 4.0 at Zenodo 3565489",
        "cite": [
            "labels: Willett et al. 2013, MNRAS 435, 2835",
            "vote fractions as targets: Dieleman, Willett & Dambre 2015, MNRAS 450, 1441",
            *SDSS,
        ],
        "not_for": [
            OF_ZOO[0],
            "a warning that an image is of another kind: models of votes have none",
            "the number of people who voted: fractions are given without their spread",
        ],
    },
}


def without_paths(content):
    """Return plain values without paths of this machine."""
    if isinstance(content, dict):
        return {key: without_paths(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_paths(value) for value in content]
    return Path(content).name if isinstance(content, str) and content.startswith(("/", "~")) else content


def ship(name, trained, out):
    """Write the model that ships, and return its folder."""
    card = trained.card
    settings = without_paths(dict(card.settings))
    if "data" in settings:
        # No file of a user has this name: it would be taken for the catalog of the training.
        settings["data"] |= {"catalog": "not-shipped/labels.csv", "images": None, "shards": None}
    inputs = card.inputs
    if name != "simulated":
        inputs = replace(inputs, render="sdss:petrosian:4")
    data = without_paths(dict(card.data)) | STATEMENTS[name]
    lean = replace(card, data=data, settings=settings, inputs=inputs, parent=without_paths(dict(card.parent)))
    saved = save_model(TrainedModel(trained.model, lean), out / name)
    record = UncertaintyRecord.read(trained.folder, card.model_sha256)
    if record is not None:
        replace(record, model_sha256=saved.card.model_sha256).write(saved.folder)
    return saved.folder


def check(folder, trained):
    """Raise unless the logits are those of the trained model, and no path of a machine is in the files."""
    images = (
        np.random.default_rng(0).uniform(0, 200, (8, *trained.card.inputs.image_shape)).astype(np.float32)
    )
    mine, theirs = (one.model.predict(images, verbose=0) for one in (load_model(folder), trained))
    assert np.array_equal(mine, theirs), "the logits differ"
    for file in folder.iterdir():
        found = re.findall(rb"/(?:home|root|tmp|work|mnt|Users)/[\w./-]+", file.read_bytes())
        assert not found, f"{file}: {found[:3]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=STATEMENTS)
    parser.add_argument("trained", type=Path)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    asked = parser.parse_args()
    source = asked.trained
    if asked.name == "simulated":
        run_demo(
            source,
            settings=DemoSettings(new=6, explained=1, seed=60427),
            progress=bars,
        )
        source = source / "model"
    trained = load_model(source)
    folder = ship(asked.name, trained, asked.out)
    check(folder, trained)
    sizes = {file: file.stat().st_size for file in asked.out.glob("*/*")}
    assert sum(sizes.values()) <= ROOM, f"{sum(sizes.values())} bytes of at most {ROOM}"
    mine = {file.name: size for file, size in sizes.items() if file.parent == folder}
    print(json.dumps(mine), f"all models: {sum(sizes.values()):,} of {ROOM:,} bytes")


if __name__ == "__main__":
    main()
