"""From a FITS file to FITS layers, with ./sky and ./model of the previous examples."""

from galcnn import LayerStack, Target, load_cutout, load_model, predict
from galcnn.explain import CAM, Saliency, explain
from galcnn.layers import provenance_of

path = "sky/cutouts/sim7-000003.fits"
trained = load_model("model")
cutout = load_cutout(path)
prediction = predict(trained, [cutout], ids=["sim7-000003"])
target = Target.of_class(prediction.best[0], trained.classes)
(maps,) = explain(trained, [cutout], explainers=[Saliency(), CAM()], target=target, wrt="sigma")
origin = provenance_of(path, model=trained.card.name, model_sha256=trained.card.model_sha256)
LayerStack(cutout, prediction, maps, origin).write("sim7-000003-layers.fits")
print(prediction.best[0], f"{prediction.probabilities.max():.2f}", "wrote sim7-000003-layers.fits")
