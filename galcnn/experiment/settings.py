"""Settings of an experiment, read from a TOML file; unknown keys are refused."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from galcnn._runtime.representation import summary
from galcnn.catalog import Question, Votes, vote_schema
from galcnn.catalog.formats import is_table
from galcnn.dataset.reader import MAX_UNREADABLE
from galcnn.errors import did_you_mean, message, without_content, wrong_type
from galcnn.model import Card, DeviceSettings, NetworkSettings
from galcnn.model.settings import Per, Scaling, Stretch
from galcnn.training import Augmentation, RandomRedshift, Schedule, StartSettings, TrainingSettings
from galcnn.uncertainty.calibration import Choice
from galcnn.uncertainty.prediction_sets import Rule


@dataclass(frozen=True)
class DataSettings:
    """Settings of the data of an experiment.

    Attributes
    ----------
    catalog : str
        Table with one row per galaxy.
    image_column : str
        Column with the path of the image.
    images : str or None
        Folder of the images, in which the file names of the catalog are looked up. See
        `galcnn.dataset.InputFiles.of`.
    label : str
        Column with the class.
    votes : galcnn.catalog.Votes or None
        Votes that the network is trained on instead of classes. The name of a Galaxy Zoo campaign, see
        `galcnn.catalog.vote_schema`, or a section ``[data.votes]`` with questions and answers.
    id : str or None
        Column with the identifier. See `galcnn.catalog.read_catalog` for the default.
    merge : mapping of str to tuple of str
        Classes that are merged into a new class, such as ``spiral=spiral_cw,spiral_acw``.
    drop : tuple of str
        Classes that are left out.
    bands : tuple of str or None
        Bands that are used, in this order; all by default.
    size : int or None
        Side in pixels to which images are cropped or padded (without WCS: resampled). See
        `galcnn.dataset.InputFiles`.
    render : str or None
        Colour rendering of the images, by which calibrated FITS can be classified later. See
        `galcnn.dataset.InputFiles`.
    shards : str or None
        Folder into which the images are packed on first use, and read from afterwards. For data that
        are read repeatedly or are larger than the memory, see `galcnn.dataset.pack_images`.
    max_unreadable : float
        Largest fraction of galaxies without a readable image that fits the first. They are left out and
        listed; with more, the training stops.
    cache_megabytes : float
        Largest size of packed images that are kept in memory, in MB. Larger sets are read from their
        shards batch by batch. Also the limit of cutouts kept in memory for redshifting.
    split_by : str
        Groups of galaxies that stay in one split: ``object``, ``sdss-field``, ``sky-region`` or a column.
        See `galcnn.dataset.split_catalog`.
    fractions : tuple of float
        Fractions of train, validation and test.
    split_seed : int or None
        Seed of the split, if it differs from the seed of the experiment. With it, trainings of several
        seeds share one split.
    stretch : {"auto", "asinh", "lupton", "linear"}
        Stretch of the flux; ``lupton`` preserves colours. ``auto``: linear for pictures, which are stretched
        already, else asinh. See `galcnn.model.fit_preprocessing`.
    scaling : {"none", "center", "scale", "standardize", "pca", "whiten"}
        Scaling after the stretch.
    per : {"band", "set", "image", "image-band"}
        Pixels over which mean and standard deviation of the scaling are computed.
    survey : str
        Survey of the data, for the model card.
    licence : str
        Licence of the data, for the model card.
    """

    catalog: str
    image_column: str | tuple[str, ...] = "image"
    images: str | None = None
    label: str = "class"
    votes: Votes | None = None
    id: str | None = None
    merge: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    bands: tuple[str, ...] | None = None
    size: int | None = None
    render: str | None = None
    shards: str | None = None
    max_unreadable: float = MAX_UNREADABLE
    cache_megabytes: float = 1000.0
    split_by: str = "auto"
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    split_seed: int | None = None
    stretch: Stretch = "auto"
    scaling: Scaling = "standardize"
    per: Per = "band"
    survey: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if self.votes is not None and (self.merge or self.drop or self.label != "class"):
            raise ValueError(
                message(
                    "votes or classes",
                    "Leave out --label, --merge and --drop, or the section [data.votes].",
                    label=self.label,
                    merge=dict(self.merge),
                    drop=self.drop,
                )
            )


@dataclass(frozen=True)
class CalibrationSettings:
    """Settings of calibration, prediction sets and out-of-distribution warning.

    Attributes
    ----------
    enabled : bool
        If true, galcnn train ends with the calibration. ``galcnn calibrate`` does it later.
    kind : {"auto", "temperature", "bias", "vector"}
        Kind of calibration, see `galcnn.uncertainty.fit_calibration`.
    coverage : float
        Coverage of the prediction sets, see `galcnn.uncertainty.prediction_sets.ConformalSets`.
    rule : {"threshold", "adaptive"}
        Rule of the prediction sets.
    per_class : bool
        If true, the coverage holds for each class.
    false_alarms : float
        False alarm rate of the out-of-distribution warning. See the class `OutOfDistribution`.
    """

    enabled: bool = True
    kind: Choice = "auto"
    coverage: float = 0.9
    rule: Rule = "threshold"
    per_class: bool = False
    false_alarms: float = 0.01

    def __post_init__(self) -> None:
        for name in ("coverage", "false_alarms"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(message(f"{name} in (0, 1)", "", **{name: getattr(self, name)}))


@dataclass(frozen=True)
class Experiment:
    """Settings of an experiment.

    Attributes
    ----------
    data : DataSettings
        Section ``[data]``.
    network : galcnn.model.NetworkSettings
        Section ``[network]``.
    training : galcnn.training.TrainingSettings
        Sections ``[training]``, ``[training.augmentation]`` and ``[training.augmentation.redshift]``.
    start : galcnn.training.StartSettings or None
        Section ``[start]``: the model from which the training starts. Its network is used, and ``[network]``
        must be left out.
    devices : galcnn.model.DeviceSettings
        Section ``[devices]``.
    seed : int
        Random seed of split, initial weights, order and augmentation.
    deterministic : bool
        If true, repeated trainings on one machine are equal to the bit, but slower. TensorFlow's
        deterministic operations are switched on for the rest of the process.
    health : int or None
        Updates between two measurements of the gradients, for galcnn diagnose; none: no measurements.
        See `galcnn.diagnostics.GradientHealth`. The trained model does not depend on it.
    calibration : CalibrationSettings
        Section ``[calibration]``. The trained model does not depend on it.
    """

    data: DataSettings
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    start: StartSettings | None = None
    devices: DeviceSettings = field(default_factory=DeviceSettings)
    seed: int = 0
    deterministic: bool = False
    health: int | None = None
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)

    def __post_init__(self) -> None:
        if not isinstance(self.data, DataSettings):
            raise wrong_type(
                "DataSettings: Experiment(DataSettings('labels.csv'))",
                "Plain values: Experiment.from_dict.",
                data=self.data,
            )
        if self.start is not None and self.network != NetworkSettings():
            raise ValueError(
                message(
                    "the network of the parent",
                    "Leave out the settings of the network, or start from no model.",
                    model=self.start.model,
                    network=self.network,
                )
            )
        if self.seed < 0:
            raise ValueError(message("a seed of 0 or more", "", seed=self.seed))
        if self.health is not None and self.health < 1:
            raise ValueError(
                message(
                    "a number of updates between two measurements of the gradients, 1 or more",
                    "",
                    health=self.health,
                )
            )
        if self.health is not None and self.devices.strategy != "one":
            raise ValueError(
                message(
                    "training on one device, where the gradients are measured",
                    "Leave out health, or devices.strategy.",
                    strategy=self.devices.strategy,
                )
            )

    def __repr__(self) -> str:
        data, fit = self.data, self.training
        target = f"column {data.label!r}" if data.votes is None else "votes"
        return summary(
            "Experiment",
            f"on {data.catalog}, {target}, seed {self.seed}",
            f"network: {self.network.architecture}; training: "
            f"{fit.epochs} epochs, batches of {fit.batch_size}",
        )

    @property
    def split_seed(self) -> int:
        """Seed of the split: that of the data if set, else that of the experiment."""
        return self.seed if self.data.split_seed is None else self.data.split_seed

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Experiment:
        """Make an experiment from plain values.

        Parameters
        ----------
        content : mapping
            Section -> key -> value; missing keys get their defaults.

        Returns
        -------
        Experiment
            Checked settings.

        Raises
        ------
        ValueError
            If a key is unknown (the message names the nearest known one), a required key is missing or a
            value is invalid.
        """
        experiment: Experiment = build_record(cls, content, "")
        return experiment

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, as stored in a card.

        Returns
        -------
        dict
            Section -> key -> value, for `from_dict`.
        """
        content = asdict(replace(self, training=TrainingSettings())) | {"training": self.training.to_dict()}
        plain: dict[str, Any] = json.loads(json.dumps(content))  # tuples become JSON lists
        return plain


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the sections of an experiment from a file, without checking their keys.

    Parameters
    ----------
    path : path-like
        TOML file, or ``card.json`` of a model, which stores its experiment.

    Returns
    -------
    dict
        Section -> key -> value. Relative paths of catalog, images, shards and parent model in a TOML file
        are relative to its folder.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    IsADirectoryError, ValueError
        If it is a folder or a table, not valid TOML, or a card without an experiment.
    """
    file = Path(path)
    if file.is_dir():
        card = file / "card.json"
        remedy = f"give its card, {card}" if card.is_file() else "give a TOML file of settings"
        raise IsADirectoryError(f"{file} is a folder; {remedy}.")
    if not file.is_file():
        raise FileNotFoundError(f"File not found: {file}.")
    if is_table(file):
        raise ValueError(f"{file} is a table, not a TOML file of settings; give it as --catalog {file}.")
    if file.suffix.lower() == ".json":
        settings = dict(Card.read(file).settings)
        if "data" not in settings:
            raise ValueError(
                message("the card of a model of galcnn train", "This card has no experiment.", path=str(file))
            )
        return settings
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            message("a TOML file", "Correct that line.", path=str(file), error=without_content(error))
        ) from error
    data = content.get("data")
    if isinstance(data, dict):
        data |= {
            name: str(file.resolve().parent / data[name])
            for name in ("catalog", "images", "shards")
            if isinstance(data.get(name), str)
        }
    start = content.get("start")
    if isinstance(start, dict) and isinstance(start.get("model"), str):
        beside = file.resolve().parent / start["model"]
        start["model"] = str(beside) if beside.exists() else start["model"]
    return content


_SECTIONS: Mapping[str, type] = {
    "data": DataSettings,
    "network": NetworkSettings,
    "training": TrainingSettings,
    "calibration": CalibrationSettings,
    "devices": DeviceSettings,
    "augmentation": Augmentation,
    "redshift": RandomRedshift,
    "schedule": Schedule,
    "start": StartSettings,
    "votes": Votes,
    "questions": Question,
}


#: Sections that may be given as a single string, with the key that it sets.
SHORT = {"schedule": "name"}


#: Sections that may be the name of a ready-made one, and the key of that name if other keys are given.
NAMED = {"votes": "schema"}


def build_record(kind: type, content: Any, where: str = "") -> Any:
    """Make a frozen dataclass from plain values, including nested sections."""
    name = where or "an experiment"
    if isinstance(content, str) and (key := where.rpartition(".")[2]) in SHORT:
        content = {SHORT[key]: content}
    if not isinstance(content, Mapping):
        raise ValueError(message(f"a section {where}", "", **{where: content}))
    known = {f.name: f for f in fields(kind)}
    for key in content:
        if key not in known:
            hint = did_you_mean(str(key), known, f"Known keys: {', '.join(known)}.")
            raise ValueError(message(f"a known key in {name}", hint, key=str(key)))
    missing = [f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING]
    if absent := [key for key in missing if key not in content]:
        raise ValueError(message(f"{', '.join(absent)} in {name}", "Add it.", keys=sorted(content)))
    hints = get_type_hints(kind)
    for key, value in content.items():
        if (key not in _SECTIONS or value is None) and not type_fits(frozen(value), hints[key]):
            wanted = f"{key} of kind {type_words(hints[key])} in {name}"
            raise ValueError(message(wanted, "", **{str(key): value}))
    values = {key: _built(key, value, f"{where}.{key}".lstrip(".")) for key, value in content.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(message(f"values of the right kind in {name}", "", error=str(error))) from error


def _built(key: str, value: Any, where: str) -> Any:
    """Convert one value: a section, an array of sections, or a plain value."""
    if key not in _SECTIONS or value is None or is_dataclass(value):
        return frozen(value)
    if key in NAMED and (isinstance(value, str) or (isinstance(value, Mapping) and NAMED[key] in value)):
        content = {NAMED[key]: value} if isinstance(value, str) else value
        if unknown := sorted(set(content) - {NAMED[key], "kind"}):
            raise ValueError(message(f"{NAMED[key]} and kind in {where}", "", keys=unknown))
        kind: Any = content.get("kind")  # vote_schema checks it
        return vote_schema(content[NAMED[key]], kind)
    if isinstance(value, list | tuple):
        return tuple(_built(key, item, where) for item in value)
    return build_record(_SECTIONS[key], value, where)


def type_fits(value: Any, hint: Any) -> bool:
    """Return True if a plain value matches the type of a field; types that cannot be checked match."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(type_fits(value, option) for option in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        kinds = inner[:1] * len(value) if isinstance(value, tuple) and inner[-1] is Ellipsis else inner
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(type_fits, value, kinds))
    if origin is not None:  # a mapping
        return isinstance(value, origin) and all(type_fits(item, inner[-1]) for item in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint is Any or isinstance(value, hint)


def type_words(hint: Any) -> str:
    """Describe the type of a setting: int, a|b, text,text,... ."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        words = [type_words(one) for one in inner if one is not type(None) and one is not Any]
        return " or ".join(dict.fromkeys(words))
    if origin is Literal:
        return "|".join(map(str, inner))
    if origin is tuple:
        kinds = [type_words(one) for one in inner if one is not Ellipsis]
        if is_dataclass(inner[0]):
            return "tables, in a file only"
        return ",".join([*kinds * 2, "..."] if inner[-1] is Ellipsis else kinds)
    if origin is not None:
        return "text" if inner[-1] is Any else f"table of {type_words(inner[-1])}"
    if hint is bool:
        return "true|false"
    return "text" if hint is str or hint is Any else str(hint.__name__)


def frozen(value: Any) -> Any:
    """Convert lists of TOML to tuples."""
    if isinstance(value, list):
        return tuple(frozen(item) for item in value)
    if isinstance(value, Mapping):
        return {key: frozen(item) for key, item in value.items()}
    return value
