"""From a FITS file to FITS layers, with ./sky and ./model of the previous examples."""

from galcnn import LayerStack, load_cutout, load_model, predict
from galcnn.explain import explain
from galcnn.layers import provenance_of

path = "sky/cutouts/sim7-000003.fits"
trained = load_model("model")
cutout = load_cutout(path)
prediction = predict(trained, [cutout], ids=["sim7-000003"])
(maps,) = explain(trained, [cutout])  # of the predicted class against the runner-up
origin = provenance_of(path, model=trained.card.name, model_sha256=trained.card.model_sha256)
LayerStack(cutout, prediction, maps, origin).write("sim7-000003-layers.fits")
print(prediction.best[0], f"{prediction.probabilities.max():.2f}", "wrote sim7-000003-layers.fits")
