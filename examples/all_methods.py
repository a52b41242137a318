"""All explanation methods on six galaxies, as one picture: a galaxy and its maps are two lines of it.

    python examples/all_methods.py MODEL CATALOG PICTURE.png [SPLIT]

Simulated galaxies, and real ones that the model was not trained on:

    galcnn simulate -n 12 --seed 4 --out new
    python examples/all_methods.py simulated new/catalog.ecsv simulated.png
    python examples/all_methods.py gz1 labels.csv real.png test

MODEL is a folder or the name of a ready model. The galaxies are the first of each class in turn. SPLIT is a
split of the model's training, `test` where CATALOG is that of the training; by default all galaxies are
taken. One orientation is explained; the average over eight takes eight times as long.
"""

import sys

from galcnn import load_model
from galcnn.dataset import InputFiles
from galcnn.experiment import galaxies_of
from galcnn.explain import explainers_by_name
from galcnn.pipeline import ExplainSettings, explain_files, working_methods
from galcnn.pipeline.atlas.subject import in_turn
from galcnn.viewers import explanation_figure, save_figure

NUMBER, KINDS = 6, ("features", "amount", "slope")


def main(model: str, table: str, picture: str, split: str = "all") -> None:
    trained = load_model(model).with_orientations(1)
    catalog = galaxies_of(trained.card, table, split=split, labelled=True)
    labels = catalog.labels
    queues = [[row for row, label in enumerate(labels) if label == name] for name in trained.classes]
    chosen = catalog.select(in_turn(queues)[:NUMBER])
    files = InputFiles.of(chosen, fit=True)
    explainers = sorted(explainers_by_name(["all"]), key=lambda one: KINDS.index(one.kind))
    every = ExplainSettings(tuple(explainers))
    settings, reasons = working_methods(trained, every, files=files)
    for name, reason in reasons.items():
        print(f"without {name}: {reason}")
    stacks, truth = [], []
    for stack, label in zip(explain_files(trained, files, settings), chosen.labels, strict=True):
        if isinstance(stack, Exception):
            print(f"not explained: {stack}")
            continue
        stacks.append(stack)
        truth.append(str(label))
    save_figure(explanation_figure(stacks, truth=truth, compact=True), picture, dpi=100)
    print(f"wrote {picture}: {len(stacks)} galaxies, {len(settings.explainers)} methods")


if __name__ == "__main__":
    main(*sys.argv[1:5])
