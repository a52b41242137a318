"""Class models, decision boundaries and the range of a saliency map, with ./sky and ./model."""

from dataclasses import replace

from galcnn import Target, load_cutout, load_model
from galcnn.explain import AscentSettings, ClassModels, first_order, line_between
from galcnn.layers import read_syntheses, write_syntheses
from galcnn.model import images_from

trained = load_model("model")
targets = [Target.of_class(name, trained.classes) for name in trained.classes]

# For each class, the image of non-negative flux, as bright as a galaxy, with the highest logit.
likes = ClassModels(wrt="flux", nonnegative=True, ascent=AscentSettings(contrast=500.0, blur=1.0))
write_syntheses("class-models.fits", likes(trained, targets))
for made in read_syntheses("class-models.fits"):
    found = "confirmed" if made.success else "called another class"
    print(f"{made.target.name}: logit {made.start_score:.1f} -> {made.score:.1f}, {found}")

# Where does the predicted class change on the line between two galaxies?
cutouts = [load_cutout(f"sky/cutouts/sim7-{number:06d}.fits") for number in (3, 40)]
images = images_from(cutouts)
for flip in line_between(trained.model, *images).crossings:
    print(f"at {flip.position:.3f}: {trained.classes[flip.before]} becomes {trained.classes[flip.after]}")

# How far from a galaxy is the linear approximation valid on which its saliency map is based?
sigma = images_from([replace(cutout, flux=cutout.sigma) for cutout in cutouts])
line = first_order(trained.model, images, targets[0], sigma=sigma)
print("wrong by half at", [f"{reach:.2g} sigma" for reach in line.reach(0.5)])
