"""Devices for training: one device, several that share each batch, or several machines."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from typing import Any

import keras
import tensorflow as tf

from galcnn.errors import message
from galcnn.model.settings import DeviceSettings


@functools.cache
def make_strategy(settings: DeviceSettings) -> tf.distribute.Strategy:
    """Create the TensorFlow strategy in whose scope a model is built and trained."""
    if settings.strategy == "workers":
        return _workers()
    if settings.strategy == "mirrored":
        return tf.distribute.MirroredStrategy(_shared_devices(settings))
    if settings.device == "auto":
        return tf.distribute.get_strategy()
    return tf.distribute.OneDeviceStrategy(_one_device(settings))


def device_scope(device: str) -> contextlib.AbstractContextManager[Any]:
    """Load and run a model on one device.

    Parameters
    ----------
    device : str
        See `DeviceSettings`; ``"auto"`` leaves the choice to TensorFlow.

    Returns
    -------
    context manager
        Context in which the model is loaded and run on the device.

    Raises
    ------
    ValueError
        If the device does not exist.

    Examples
    --------
    >>> with device_scope("cpu"):
    ...     print(tf.constant(1).device[-5:])
    CPU:0
    """
    settings = DeviceSettings(device)
    return contextlib.nullcontext() if device == "auto" else tf.device(_one_device(settings))


def _one_device(settings: DeviceSettings) -> str:
    kind, _, number = settings.device.partition(":")
    known = [device.name for device in tf.config.list_logical_devices(kind.upper())]
    wanted = f"/device:{kind.upper()}:{number or 0}"
    if wanted not in known:
        raise ValueError(_missing(settings, known))
    return wanted


def devices_used(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """Return the strategy, the number of replicas and the devices, for the model card."""
    if type(strategy).__name__ == "_DefaultDistributionStrategy":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        names, word = [f"{kind}:0"], "one"
    else:
        names = [":".join(name.split(":")[-2:]) for name in strategy.extended.worker_devices]
        one = isinstance(strategy, tf.distribute.OneDeviceStrategy)
        word = "one" if one else "workers" if _is_workers(strategy) else "mirrored"
    return {
        "strategy": word,
        "replicas": int(strategy.num_replicas_in_sync),
        "devices": [f"{name} ({_model_of(name)})" for name in names],
    }


def device_line(strategy: tf.distribute.Strategy) -> str:
    """Describe the devices of a strategy in one line."""
    used = devices_used(strategy)
    shared = {
        "one": "",
        "mirrored": ", each batch shared by them",
        "workers": f", each batch shared by {used['replicas']} workers",
    }[used["strategy"]]
    return f"computing on {', '.join(used['devices'])}{shared}"


def spread_over_workers() -> bool:
    """Return True if the current strategy scope spans several machines."""
    return _is_workers(tf.distribute.get_strategy())


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return True if this process writes the files (the chief worker, or the only process)."""
    if not _is_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    return bool(resolver.task_type in (None, "chief") or resolver.task_id == 0)


def loss_scaled(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> keras.optimizers.Optimizer:
    """Add loss scaling if a layer computes in float16, in which small gradients would underflow to zero."""
    half = any(layer.compute_dtype == "float16" for layer in model._flatten_layers())
    if not half or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _shared_devices(settings: DeviceSettings) -> list[str]:
    gpus = [] if settings.device == "cpu" else tf.config.list_physical_devices("GPU")
    if settings.device == "gpu" and not gpus:
        raise ValueError(_missing(settings, []))
    if gpus:
        wanted = settings.replicas or len(gpus)
        if wanted > len(gpus):
            raise ValueError(message(f"at most {len(gpus)} replicas, one per GPU", "", replicas=wanted))
        return [f"/gpu:{i}" for i in range(wanted)]
    wanted = settings.replicas or 1
    cpu = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(cpu)
    if wanted > 1 and (configured is None or len(configured) < wanted):
        try:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * wanted)
        except RuntimeError as error:
            raise RuntimeError(
                message(
                    "TensorFlow not yet initialised, to split the CPU",
                    "Make the strategy first, in a new process.",
                    replicas=wanted,
                )
            ) from error
    return [f"/cpu:{i}" for i in range(wanted)]


def _workers() -> tf.distribute.Strategy:
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG", ""))
        n_workers = sum(len(cluster["cluster"].get(kind, ())) for kind in ("chief", "worker"))
        _ = cluster["task"]["type"], cluster["task"]["index"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            message(
                "TF_CONFIG with the cluster and the task of this worker",
                "See docs/running.md.",
                TF_CONFIG=os.environ.get("TF_CONFIG"),
            )
        ) from error
    if n_workers < 2:
        raise ValueError(message("two or more workers in TF_CONFIG", "", n_workers=n_workers))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise RuntimeError(
            message(
                "TensorFlow not yet initialised, to join the other workers",
                "Make the strategy first, in a new process.",
                error=str(error),
            )
        ) from error


def _missing(settings: DeviceSettings, known: list[str]) -> str:
    return message(
        "a device that TensorFlow sees",
        "Use --device auto or cpu; for an NVIDIA GPU install galcnn[gpu].",
        device=settings.device,
        known=known,
    )


def _is_workers(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _model_of(name: str) -> str:
    kind, number = name.split(":")
    if kind != "GPU":
        return f"{os.cpu_count()} cores"
    gpu = tf.config.list_physical_devices("GPU")[int(number)]
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", "unknown"))
