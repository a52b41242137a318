"""Adversarial attacks that turn a spiral into an elliptical, and their visibility, with ./sky and ./model."""

from galcnn import Target, load_model, read_catalog
from galcnn.adversarial import PGD, MinimalPerturbation, SkyAscent, SmallestEpsilon, attack, visibility
from galcnn.files import load_cutout
from galcnn.layers import write_syntheses
from galcnn.viewers import adversarial_figure, save_figure

trained = load_model("model")
table = read_catalog("sky/catalog.ecsv").table
spirals = table[table["class"] == "spiral"][:2]
cutouts = [load_cutout(path) for path in spirals["image"]]
attacks = [
    SmallestEpsilon(),  # smallest limit, in sigma per pixel, that succeeds
    SmallestEpsilon(
        PGD(light="psf", flux="conserved", start="image")
    ),  # light convolved with the PSF, at constant total flux
    MinimalPerturbation(),  # smallest sum of squares
    SkyAscent(),  # starts from blank sky
]
target = Target.of_class("elliptical", trained.classes)
results = attack(trained, cutouts, attacks=attacks, target=target, ids=list(spirals["id"]))
for name, cutout, made in zip(spirals["id"], cutouts, results, strict=True):
    for one in made:
        seen = visibility(one)
        answer = "misclassified" if one.success else "held out"
        eye = "visible" if seen.visible else "not visible"
        print(
            f"{name} {one.method:<10} {answer}: at most {seen.largest_sigma:.2g} sigma a pixel, chi-square "
            f"per degree {seen.chi_square:.2g} ({eye}), r changes by {seen.magnitudes[1]:.4f} mag"
        )
    write_syntheses(f"{name}-attack.fits", made, wcs=cutout.wcs)
save_figure(adversarial_figure(dict(zip(spirals["id"], results, strict=True)), trained.classes), "attack.png")
