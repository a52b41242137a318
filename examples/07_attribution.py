"""All attribution methods on one galaxy (./sky and ./model of the previous examples), and any Keras model."""

import keras
import numpy as np

from galcnn import LayerStack, Target, load_cutout, load_model, predict
from galcnn.explain import (
    GuidedBackprop,
    IntegratedGradients,
    explain,
    explainers_by_name,
    strongest_activations,
)
from galcnn.model import images_from
from galcnn.viewers import explanation_figure, save_figure

trained = load_model("model")
cutout = load_cutout("sky/cutouts/sim7-000003.fits")
prediction = predict(trained, [cutout], ids=["sim7-000003"])
methods = explainers_by_name(["all"])
(maps,) = explain(trained, [cutout], explainers=methods, ids=["sim7-000003"])
save_figure(explanation_figure([LayerStack(cutout, prediction, maps)]), "all-methods.png")
for explanation in maps:
    error = "" if explanation.delta is None else f"error of the sum {explanation.delta:+.3f}"
    print(f"{explanation.method:<22}wrt {explanation.wrt:<10}{explanation.network_layer:<24}{error}")

# The three of 40 images with the strongest activations of the first of the last feature maps.
images = images_from([load_cutout(f"sky/cutouts/sim7-{i:06d}.fits") for i in range(40)])
seen = np.asarray(trained.preprocessing(images))
last = trained.network.layers[-4].name
(first,) = strongest_activations(trained.network, seen, network_layer=last, features=[0], n=3)
print(f"feature 0 of {last}: images {first.images.tolist()}, values {np.round(first.values, 2).tolist()}")

# Methods apply to any Keras model that ends in logits; maps are arrays with the shape of the images.
inputs = keras.Input(images.shape[1:])
x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
network = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
margin = Target("second less first", (-1.0, 1.0))
for method in (GuidedBackprop(), IntegratedGradients(n=16)):
    print(method.name, method(network, seen[:5], margin).shape)
print("wrote all-methods.png")
