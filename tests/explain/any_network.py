"""Print what galcnn does with Keras networks of many kinds: `python -m tests.explain.any_network [KIND]...`.

Each network is built, saved, imported by `galcnn import`, and given to `explain`, `attack`, `dream`,
`faithfulness` and `atlas` on galaxies of 32 pixels, each once and with few steps. The table of
docs/networks.md is what this prints; `test_any_network.py` holds each of its rows.
"""

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from astropy.table import Table
from keras import layers
from PIL import Image

from galcnn.cli.main import main as galcnn
from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.model import feature_maps, load_model, network_layers
from tests.conftest import toy_images

SIZE, SHAPE, CLASSES = 32, (32, 32, 3), ("round", "thin")
COMMANDS = ("import", "explain", "attack", "dream", "faithfulness", "atlas")


@keras.saving.register_keras_serializable(package="any_network")
class Subclassed(keras.Model):
    """A network whose layers Keras does not know of until it is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv2D(4, 3, activation="relu")
        self.head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(2)])

    def call(self, images):
        return self.head(self.convolution(keras.ops.arcsinh(images / 10.0)))


def end(n=2, activation=None):
    return [layers.GlobalAveragePooling2D(), layers.Dense(n, activation=activation)]


def body():
    return [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(4, 3), layers.ReLU()]


def sequential(*last, dtype=None):
    return keras.Sequential([keras.Input(SHAPE, dtype=dtype), layers.Rescaling(0.01), *body(), *last])


def functional(activation=None):
    """A residual block, so that it is no chain of layers."""
    images = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(images / 100.0)
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
    x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(images, layers.Dense(2, activation=activation)(layers.GlobalAveragePooling2D()(x)))


def nested():
    inner = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(0.01), *body()])
    head = keras.Sequential(end())
    images = keras.Input(SHAPE)
    return keras.Model(images, head(inner(images)))


def subclassed():
    network = Subclassed()
    network(np.zeros((1, *SHAPE), np.float32))
    return network


def channels_first():
    images, layout = keras.Input((3, SIZE, SIZE)), {"data_format": "channels_first"}
    x = layers.Conv2D(4, 3, activation="relu", **layout)(images / 100.0)
    x = layers.Conv2D(4, 3, activation="relu", **layout)(layers.MaxPooling2D(**layout)(x))
    return keras.Model(images, layers.Dense(2)(layers.GlobalAveragePooling2D(**layout)(x)))


def heads(n_inputs, n_outputs):
    images = [keras.Input(SHAPE, name=f"images_{i}") for i in range(n_inputs)]
    x = layers.Concatenate()(images) if n_inputs > 1 else images[0]
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x))
    return keras.Model(images, [layers.Dense(2, name=f"answer_{i}")(x) for i in range(n_outputs)])


def dense():
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(2)])


def adapted():
    normalization = layers.Normalization()
    normalization.adapt(toy_images(16, size=SIZE, n_bands=3)[0])
    return keras.Sequential([keras.Input(SHAPE), normalization, *body(), *end()])


def vectors():
    return keras.Sequential([keras.Input((SIZE * SIZE * 3,)), layers.Dense(4), layers.Dense(2)])


def application(name):
    """A network of keras.applications as it comes, for two classes, with random weights."""
    return lambda: getattr(keras.applications, name)(weights=None, input_shape=SHAPE, classes=2)


@dataclass(frozen=True)
class Kind:
    """How a network is built and saved, what it reads, and whether its row is quickly computed."""

    build: Callable[[], keras.Model]
    suffix: str = "keras"
    pictures: bool = False
    quick: bool = False


KINDS = {
    "Sequential": Kind(lambda: sequential(*end())),
    "Functional": Kind(functional, quick=True),
    "subclassed": Kind(subclassed),
    "nested, with Rescaling": Kind(nested),
    "Sequential, saved as .h5": Kind(lambda: sequential(*end()), suffix="h5", quick=True),
    "Functional, saved as .h5": Kind(functional, suffix="h5"),
    "softmax at the end": Kind(lambda: functional("softmax")),
    "one logit, two classes": Kind(lambda: sequential(*end(1))),
    "one sigmoid, two classes": Kind(lambda: sequential(*end(1, "sigmoid"))),
    "uint8 images": Kind(lambda: sequential(*end(), dtype="uint8"), pictures=True),
    "channels first": Kind(channels_first),
    "Flatten, no ReLU": Kind(
        lambda: sequential(layers.Conv2D(4, 3, activation="gelu"), layers.Flatten(), layers.Dense(2))
    ),
    "Dense layers alone": Kind(dense),
    "Normalization, adapted": Kind(adapted),
    "MobileNetV2": Kind(application("MobileNetV2"), pictures=True),
    "ResNet50": Kind(application("ResNet50"), pictures=True),
    "EfficientNetB0": Kind(application("EfficientNetB0"), pictures=True),
    "ConvNeXtTiny": Kind(application("ConvNeXtTiny"), pictures=True),
    "two inputs": Kind(lambda: heads(2, 1)),
    "two outputs": Kind(lambda: heads(1, 2)),
    "images as vectors": Kind(vectors),
    "a sigmoid for each class": Kind(lambda: sequential(*end(2, "sigmoid"))),
    "Lambda": Kind(lambda: sequential(layers.Lambda(abs), *end())),
}


def settled(network):
    """Give batch normalisation the averages of the toy images, without which deep networks answer 0."""
    norms = [one for one in network._flatten_layers() if isinstance(one, layers.BatchNormalization)]
    if norms:
        before = [one.momentum for one in norms]
        for one in norms:
            one.momentum = 0.0
        network(toy_images(16, size=SIZE, n_bands=3)[0], training=True)
        for one, momentum in zip(norms, before, strict=True):
            one.momentum = momentum
    return network


def galaxies(folder, *, pictures):
    """Twelve galaxies of two classes as FITS or PNG, and their catalog."""
    images, labels = toy_images(12, seed=9, size=SIZE, n_bands=3)
    names = [f"g{i}.{'png' if pictures else 'fits'}" for i in range(len(images))]
    for image, name in zip(images, names, strict=True):
        if pictures:
            Image.fromarray(np.clip(image + 30, 0, 255).astype(np.uint8)).save(folder / name)
        else:
            planes = np.moveaxis(image, -1, 0)
            sigma = np.full_like(planes, 3.0)
            save_cutout(Cutout(planes, ("g", "r", "i"), sigma=sigma, survey="toy"), folder / name)
    table = {"id": [f"g{i}" for i in range(len(names))], "file": names, "class": np.array(CLASSES)[labels]}
    Table(table).write(folder / "catalog.ecsv")
    return names[0]


def said(words):
    """Run a command in this process; return its JSON answer, and what it wrote as errors."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        galcnn(["--json", *(str(word) for word in words)])
    return json.loads(out.getvalue()), err.getvalue()


def words_of(kind, folder, image):
    """The command lines of `COMMANDS`, the one of `dream` without its layer."""
    bands = "R,G,B" if kind.pictures else "g,r,i"
    model, catalog = folder / "model", ["--catalog", folder / "catalog.ecsv", "--image-column", "file"]
    catalog += ["--label", "class", "--id", "id"]
    own = [folder / f"own.{kind.suffix}", "--classes", ",".join(CLASSES), "--bands", bands]
    unit = ["--unit", "display"] if kind.pictures else []
    few = ["-n", "3", "--shown", "1", "--filters", "1", "--stages", "2", "--steps", "2"]
    return {
        "import": ["import", *own, *unit, "--out", model],
        "explain": ["explain", model, folder / image, "--method", "all", "--out", folder / "maps.fits"],
        "attack": [
            *("attack", model, folder / image, "--attack", "fgsm", "--attack", "pgd:steps=5"),
            *("--out", folder / "attack"),
        ],
        "dream": [
            *("dream", model, folder / image, "--octaves", "1", "--steps", "2", "--out", folder / "dream"),
            "--layer",
        ],
        "faithfulness": [
            *("faithfulness", model, *catalog, "--split", "all", "-n", "8", "--method", "saliency"),
            *("--keep-layers", "0", "--out", folder / "faithfulness"),
        ],
        "atlas": ["atlas", model, *catalog, *few, "--out", folder / "atlas"],
    }


def answers(name):
    """What the commands say to a kind of network, up to a refused import: answer, errors, missing pages."""
    kind, found = KINDS[name], {}
    keras.utils.set_random_seed(3)
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        image = galaxies(folder, pictures=kind.pictures)
        settled(kind.build()).save(folder / f"own.{kind.suffix}")
        for command, words in words_of(kind, folder, image).items():
            if command == "dream":
                words = [*words, last_layer(folder / "model")]
            quiet = [] if command == "import" else ["--quiet"]
            answer, errors = said([*words, *quiet])
            found[command] = answer["error"], errors, missing_pages(folder / "atlas" / "index.html")
            if command == "import" and answer["error"]:
                break
    return found


def missing_pages(index):
    """How many pages an atlas says that it could not draw."""
    text = index.read_text(encoding="utf-8") if index.exists() else ""
    return text.partition('<ul id="missing">')[2].partition("</ul>")[0].count("<li>")


def last_layer(model):
    """The layer of the last feature maps, which a user would name, or the one before the last."""
    network = load_model(model).network
    try:
        return feature_maps(network).name
    except ValueError:
        return list(network_layers(network))[-2]


def row(name):
    """The cells of a kind of network: `yes`, what it is without, or why it is refused."""
    return {command: cell(*answer) for command, answer in answers(name).items()}


def cell(error, errors, pages):
    """What a command says: it works, works without some methods or pages of an atlas, refuses, or fails.

    A refusal says what was expected; any other error is a failure of galcnn.
    """
    if error:
        reason = f"refused: expected {error['expected']}. {error['remedy'] or ''}".strip()
        return reason if error["expected"] else f"FAILED: {error['message']}"
    lines = errors.splitlines()
    without = [text.removeprefix("without ").split(":")[0] for text in lines if text.startswith("without ")]
    without += [f"{pages} page{'s' if pages > 1 else ''}"] if pages else []
    return f"yes, without {', '.join(without)}" if without else "yes"


def line(name, cells):
    """A line of the Markdown table."""
    return "| " + " | ".join([name, *(cells.get(command, "") for command in COMMANDS)]) + " |"


def show(text):
    print(text, flush=True)  # noqa: T201


def main(names):
    show(f"| network | {' | '.join(COMMANDS)} |")
    show(f"|{'---|' * (1 + len(COMMANDS))}")
    for name in names or KINDS:
        show(line(name, row(name)))


if __name__ == "__main__":
    main(sys.argv[1:])
