"""Export of a model, preprocessing included, as an ONNX file that runs without TensorFlow."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic, seeding
from galcnn._runtime.version import __version__
from galcnn.errors import message
from galcnn.model.build import PREPROCESSING
from galcnn.model.bundle import TrainedModel
from galcnn.model.weights import give_weights

#: Names of the only input and the only output.
INPUT, OUTPUT = "image", "logits"


#: Tolerated difference of the logits from those of Keras, relative to the largest logit of an image or 1.
TOLERANCE = 1e-5


_OPSET = 17


#: Number of test images, and the largest absolute value of their preprocessed pixels.
_CHECKED, _DEVIATIONS = 8, 10.0


#: Factor on the effect of one rounding of the input, since a network rounds many times.
_ROUNDINGS = 30


def export_onnx(trained: TrainedModel, path: str | os.PathLike[str]) -> float:
    """Export a model as an ONNX file, after checking that its logits agree with those of Keras.

    The file contains preprocessing and network: it takes a batch of any number of calibrated images
    and returns logits. The contents of the model card are stored as metadata, see `metadata`. The
    conversion is done by Keras and tf2onnx. Layers that compute in half precision are exported in
    float32, with the same weights.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Model to export; it is not modified.
    path : path-like
        Output file, with the extension ``.onnx``. An existing file is replaced; nothing is written
        if the export fails.

    Returns
    -------
    float
        Largest absolute difference between a logit of the file and of Keras (float32), over test
        images of noise, faint and bright.

    Raises
    ------
    ImportError
        If the extra ``onnx`` is not installed.
    ValueError
        If the file name has another extension, a layer has no ONNX counterpart, or the logits
        differ from those of Keras by more than `TOLERANCE` (relative to the largest logit of the
        image, or 1) and by more than 30 times the effect of a change of the image by one part in
        2^23.
    """
    if Path(path).suffix.lower() != ".onnx":
        raise ValueError(message("a file that ends in .onnx", "Name it so.", path=str(path)))
    onnx, onnxruntime = _packages()
    model = _in_float32(trained.model)
    images = _images(model, trained.card.inputs.unit)
    with atomic.writing(path) as temporary:
        graph = _converted(model, onnx)
        for name, text in metadata(trained).items():
            graph.metadata_props.add(key=name, value=text)
        onnx.save(graph, temporary)
        return _difference(temporary, images, model, onnxruntime)


def metadata(trained: TrainedModel) -> dict[str, str]:
    """Return the metadata of an exported file."""
    from galcnn.model.inputs import FILL

    card = trained.card
    told = card.to_dict()
    spec = told["inputs"]
    values = {
        "classes": None if card.votes else list(card.classes),
        "votes": told["votes"],
        "bands": spec["bands"],
        "shape": spec["shape"],
        "unit": spec["unit"],
        "pixel_scale_arcsec": spec["pixel_scale"],
        "render": spec["render"],
        "fill": FILL,
        "trained_prior": dict(card.trained_prior),
        "card": told,
    }
    plain = {
        "card_sha256": card.sha256,
        "model_sha256": card.model_sha256,
        "galcnn_version": __version__,
        "keras_version": keras.__version__,
    }
    return {name: json.dumps(value) for name, value in values.items()} | plain


def _packages() -> tuple[ModuleType, ModuleType]:
    try:
        import onnx
        import onnxruntime
        import tf2onnx  # noqa: F401  used by Keras for the conversion
    except ImportError as error:
        raise ImportError(
            message("the packages of ONNX", 'Install them: pip install "galcnn[onnx]".', missing=error.name)
        ) from error
    return onnx, onnxruntime


def _in_float32(model: keras.Model) -> keras.Model:
    """Copy the model in float32: ONNX rounds float16 differently, and bfloat16 cannot be run everywhere."""

    def plain(config: Any) -> Any:
        if isinstance(config, list):
            return [plain(one) for one in config]
        if not isinstance(config, dict):
            return config
        if config.get("class_name") == "DTypePolicy":
            return config | {"config": {"name": "float32"}}
        return {key: plain(value) for key, value in config.items()}

    if all(layer.compute_dtype == "float32" for layer in model._flatten_layers()):
        return model
    twin = type(model).from_config(plain(model.get_config()))
    give_weights(twin, model)
    return twin


def _images(model: keras.Model, unit: str) -> npt.NDArray[np.float32]:
    """Draw noise images, faint and bright, preferring those within 10 deviations after preprocessing."""
    stream = seeding.generator(0, "onnx")
    shape = (8 * _CHECKED, *model.input_shape[1:])
    if unit == "display":
        images = stream.uniform(0, 255, shape)
    else:
        images = 10 ** stream.uniform(-1, 4, (shape[0], 1, 1, 1)) * stream.normal(0.5, 1, shape)
    single = images.astype(np.float32)
    stretched = np.abs(np.asarray(model.get_layer(PREPROCESSING)(single))).max(axis=(1, 2, 3))
    return single[np.argsort(stretched > _DEVIATIONS, kind="stable")[:_CHECKED]]


def _converted(model: keras.Model, onnx: ModuleType) -> Any:
    """Convert by Keras, and give input and output fixed names."""
    model(np.zeros((1, *model.input_shape[1:]), dtype=np.float32))  # Keras exports only called models
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _quiet("tf2onnx"):
        # Keras patches tf2onnx with names that NumPy 2 has removed, which causes warnings.
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"keras\.src\.export")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        file = Path(folder) / "model.onnx"
        model.export(file, format="onnx", verbose=False, opset_version=_OPSET)
        converted = onnx.load(file)
    graph = converted.graph
    _spell_erfc(graph, onnx)
    given = graph.output[0].name
    for node in graph.node:
        node.input[:] = [OUTPUT if name == given else name for name in node.input]
        node.output[:] = [OUTPUT if name == given else name for name in node.output]
    graph.output[0].name = OUTPUT
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    try:
        onnx.checker.check_model(converted, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(
            message(
                "layers that ONNX knows", "Export a network without it.", error=str(error).splitlines()[0]
            )
        ) from error
    return converted


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Silence a logger: tf2onnx's optimizer logs a harmless traceback with NumPy 2."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _spell_erfc(graph: Any, onnx: ModuleType) -> None:
    """Replace TensorFlow's erfc (in GELU), which ONNX lacks, by 1 - erf."""
    nodes: list[Any] = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Erfc":
            (answer,) = node.output
            one, erf = f"{answer}/one", f"{answer}/erf"
            node.op_type, node.output[0] = "Erf", erf
            graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1), one))
            nodes.append(onnx.helper.make_node("Sub", [one, erf], [answer]))
    if len(nodes) > len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)


def _difference(path: Path, images: Any, model: keras.Model, onnxruntime: ModuleType) -> float:
    expected, nudged = (
        np.asarray(model(x, training=False)) for x in (images, images * np.float32(1 + 2**-23))
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: images})
    differences = np.abs(found - expected).max(axis=1)
    # A deep network amplifies the rounding of its input: two programs cannot agree better than that.
    own = _ROUNDINGS * np.abs(nudged - expected).max(axis=1)
    allowed = np.maximum(TOLERANCE * np.maximum(1.0, np.abs(expected).max(axis=1)), own)
    if not np.all(differences <= allowed):
        raise ValueError(
            message(
                f"the logits of Keras to {TOLERANCE}",
                "Nothing was written; please report it, with the network.",
                largest_difference=float(differences.max()),
            )
        )
    return float(differences.max())
