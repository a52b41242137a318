"""Preprocessing as Keras layers, so that it travels inside the saved model.

Every layer holds its constants as non-trainable float32 weights, computes in float32 under any
dtype policy (the asinh of 1e5 nJy overflows in half precision) and is fitted once, on the
training set alone. `keras.layers.Normalization` is not used: it exports to an unusable ONNX file.
"""

from galcnn.preprocessing.fitting import fit_preprocessing, invert
from galcnn.preprocessing.pca import PCA, PCAWhitening
from galcnn.preprocessing.scaling import ImageStandardize, Standardize
from galcnn.preprocessing.statistics import sky_noise
from galcnn.preprocessing.stretch import AsinhStretch, LuptonStretch
from galcnn.preprocessing.words import Per, Scaling, Stretch

__all__ = [
    "PCA",
    "AsinhStretch",
    "ImageStandardize",
    "LuptonStretch",
    "PCAWhitening",
    "Per",
    "Scaling",
    "Standardize",
    "Stretch",
    "fit_preprocessing",
    "invert",
    "sky_noise",
]
