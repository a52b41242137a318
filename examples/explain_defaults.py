"""Which maps should be shown first? Deletion, energy and pointing of methods, on test galaxies of a model.

    python examples/explain_defaults.py MODEL CATALOG [number of galaxies]

The target is the predicted class against the runner-up. Columns, each a mean over galaxies with its 95 %
bootstrap interval:

- deletion: area under the score as the highest-ranked pixels are replaced by sky, subtracted from that of a
  ranking by brightness, over the mean change of the score; above 0, the map is better than brightness;
- energy: density of the squared map on the galaxy, relative to the field of view; 1 for random values;
- pointing: whether the peak of |map| is on the galaxy, beyond chance; 0 for a random pixel, 1 if always.

Then: of the patches that change the predicted class when they are covered by sky, the share that lowers the
logit of that class, and the share that lowers its margin over the runner-up.
"""

import sys

import numpy as np

from galcnn import load_model
from galcnn.evaluation import bootstrap
from galcnn.experiment import galaxies_of
from galcnn.explain import explainers_by_name
from galcnn.explain.attribution import Prepared, explain_prepared
from galcnn.explain.baselines import baseline_images
from galcnn.explain.explanation import WRT
from galcnn.faithfulness import read_sample
from galcnn.faithfulness.deletion_insertion import area, in_field, order_of, reference_curves, score_curves
from galcnn.faithfulness.localisation import energy_density, pointing
from galcnn.faithfulness.sample import sample_of
from galcnn.model import looked_at
from galcnn.model.forward import outputs

METHODS = (
    *("occlusion", "integrated_gradients", "integrated_gradients:baseline=zero", "cam", "gradcam"),
    *("saliency", "smoothgrad:n=10,noise=0.1", "guided", "input_x_gradient"),
)
FRACTIONS = (np.arange(17) / 16) ** 2


def interval(values: np.ndarray) -> str:
    """Mean with its 95 % bootstrap interval, as text."""
    known = values[np.isfinite(values)]
    found = bootstrap(lambda rows: np.array([known[rows].mean()]), np.zeros(len(known)))
    return "{:5.2f} [{:5.2f}, {:5.2f}]".format(*(float(x[0]) for x in found))


def main(folder: str, catalog: str, number: int = 60) -> None:
    trained = load_model(folder)
    chosen = galaxies_of(trained.card, catalog, n=number, seed=0)
    galaxies = read_sample(trained, chosen, reading={"fit": True})
    seen = Prepared.of(trained, galaxies.cutouts, ids=galaxies.ids)
    sample = sample_of(trained, galaxies.cutouts, ids=galaxies.ids)
    network, field = trained.network, looked_at(trained.network, seen.images.shape[1:3])
    sky = baseline_images("sky", sample.images, context=sample.context, blur=5.0, seed=0)
    light = reference_curves(network, sample)["deletion_light"]
    print(f"{len(galaxies.ids)} galaxies\n{'method':<36}{'wrt':<11}{'deletion':<22}{'energy':<22}pointing")
    for text in METHODS:
        (explainer,) = explainers_by_name([text])
        for wrt in WRT:
            if explainer.kind != "slope" and (
                wrt == "sigma" or (explainer.kind == "features" and wrt == "flux")
            ):
                continue
            try:
                found = explain_prepared(seen, explainers=[explainer], target=sample.targets, wrt=wrt)
            except ValueError as error:
                print(f"{text:<36}{wrt:<11}{error}")
                continue
            planes = np.stack([one.attribution for (one,) in found])
            maps = np.moveaxis(planes, 1, -1)
            order = in_field(network, sample, order_of(np.nan_to_num(maps), explainer.kind))
            curves = score_curves(network, sample, order, sky, FRACTIONS)
            change = np.mean(np.abs(curves[:, -1] - curves[:, 0]))
            better = (area(FRACTIONS, light) - area(FRACTIONS, curves)) / change
            maps = np.where(field[:, :, np.newaxis], maps, np.float32(np.nan))
            cells = (better, energy_density(maps, sample.regions), pointing(maps, sample.regions))
            print(f"{text:<36}{wrt:<11}" + "".join(f"{interval(cell):<22}" for cell in cells), flush=True)
    lowered = [covered(network, *each) for each in zip(sample.images, sky, sample.targets, strict=True)]
    changed, logit, margin = np.concatenate(lowered).T.astype(bool)
    n = int(changed.sum())
    print(
        f"{n} of {len(changed)} patches change the class: {logit[changed].mean():.0%} lower its logit, ",
        end="",
    )
    print(f"{margin[changed].mean():.0%} its margin over the runner-up")


def covered(network, image: np.ndarray, sky: np.ndarray, target, patch: int = 12) -> np.ndarray:
    """Of each patch that is covered: does the class change, do its logit and the margin fall?"""
    several = [image]
    for y in range(0, image.shape[0] - patch + 1, patch):
        for x in range(0, image.shape[1] - patch + 1, patch):
            one = image.copy()
            one[y : y + patch, x : x + patch] = sky[y : y + patch, x : x + patch]
            several.append(one)
    logits = outputs(network, np.stack(several))
    margin = logits @ np.array(target.weights)
    best = int(np.argmax(logits[0]))
    falls = (logits[1:, best] < logits[0, best], margin[1:] < margin[0])
    return np.stack([np.argmax(logits[1:], axis=1) != best, *falls], axis=1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
