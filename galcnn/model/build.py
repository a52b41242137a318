"""Construction of convolutional networks that end in logits."""

from __future__ import annotations

import keras

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.model.applications import application_features
from galcnn.model.blocks import LayerMaker, block_features
from galcnn.model.orientations import OrientationMean, Orientations
from galcnn.model.settings import BLOCKS, NetworkSettings

#: Names of the sub-models and of the last layer, by which galcnn finds them.
PREPROCESSING, NETWORK, LOGITS = "preprocessing", "network", "logits"
#: Initializer of the last kernel: a hundredth of He's normal. With features of order one, the logits have a
#: standard deviation of about 0.01, and the loss begins at ln K; zeros would pass no gradient back.
_SMALL = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2e-4, "mode": "fan_in", "distribution": "untruncated_normal"},
}


def build_network(
    image_shape: tuple[int, int, int],
    n_classes: int,
    *,
    settings: NetworkSettings | None = None,
    seed: int = 0,
) -> keras.Model:
    """Build a network that ends in logits.

    Parameters
    ----------
    image_shape : tuple of int
        Shape of one image, (ny, nx, n_bands).
    n_classes : int
        Number of classes, at least two.
    settings : NetworkSettings, optional
        Settings of the network; the default settings if not given.
    seed : int
        Seed of the initial weights and of dropout; global seeds are not changed.

    Returns
    -------
    keras.Model
        Model ``network`` whose last layer is ``logits``, without a softmax.

    Raises
    ------
    ValueError
        If there are fewer than two classes, a setting is unknown, the image does not fit the
        architecture, or the network exceeds `max_parameters`.

    Examples
    --------
    >>> network = build_network((32, 32, 3), 4, settings=NetworkSettings(widths=(8, 16)))
    >>> network.layers[-1].name, network.output_shape
    ('logits', (None, 4))
    """
    settings = settings or NetworkSettings()
    if n_classes < 2:
        raise ValueError(message("at least two classes", "", n_classes=n_classes))
    make = LayerMaker(settings, seed)
    field = 1.0 if settings.field is None else settings.field
    margins = [round((1 - field) / 2 * n) for n in image_shape[:2]]
    inputs = keras.Input(image_shape, name="stretched")
    x = inputs
    if any(margins):
        x = keras.layers.Cropping2D([(margin, margin) for margin in margins], name="field")(x)
    orientations = settings.orientations or 1
    if orientations > 1:
        x = Orientations(orientations, dtype=make.dtype, name="orientations")(x)
    x = (block_features if settings.architecture == BLOCKS else application_features)(x, make)
    if orientations > 1:
        x = OrientationMean(orientations, name="orientation_mean")(x)
    # float32 under any policy: a sum over many pixels overflows in half precision, and logits in half
    # precision do not resolve small margins between two classes.
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="gap")(x)
    if settings.dropout:
        dropped = seeding.integer(seed, "dropout")
        x = keras.layers.Dropout(settings.dropout, seed=dropped, dtype="float32", name="dropout")(x)
    logits = keras.layers.Dense(
        n_classes,
        dtype="float32",
        name=LOGITS,
        kernel_initializer=make.initializer(_SMALL, LOGITS),
        kernel_regularizer=make.penalty,
        kernel_constraint=make.norm_limit(0),
    )(x)
    network = keras.Model(inputs, logits, name=NETWORK)
    parameters = network.count_params()
    if settings.max_parameters is not None and parameters > settings.max_parameters:
        raise ValueError(
            message(
                f"a network of at most {settings.max_parameters} parameters",
                "Use fewer or smaller widths, or raise max_parameters.",
                parameters=parameters,
            )
        )
    return network


def assemble(preprocessing: keras.Model, network: keras.Model) -> keras.Model:
    """Join preprocessing and network into one model that takes calibrated images.

    Parameters
    ----------
    preprocessing : keras.Model
        Model named ``preprocessing``, from `galcnn.model.fit_preprocessing` or of your own.
    network : keras.Model
        Model named ``network`` that ends in logits.

    Returns
    -------
    keras.Model
        Model ``galcnn`` with both models as layers.

    Raises
    ------
    ValueError
        If a model does not have the required name.
    """
    for model, name in ((preprocessing, PREPROCESSING), (network, NETWORK)):
        if model.name != name:
            raise ValueError(
                message(f"a model named {name!r}", f"Give name={name!r} to keras.Model.", name=model.name)
            )
    inputs = keras.Input(preprocessing.input_shape[1:], name="image", dtype="float32")
    return keras.Model(inputs, network(preprocessing(inputs)), name="galcnn")
