"""Trials: results of measurements, saved by name and seed so that none is repeated."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn.errors import message
from galcnn.training.checkpoint import changed_keys

__all__ = ["Trials"]


class Trials:
    """A folder of JSON files, one for each name and seed.

    Parameters
    ----------
    folder : path-like
        Folder, created with the first result.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def once(
        self, name: str, seed: int, told: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return the result of a trial, from its file or by measuring it.

        Parameters
        ----------
        name : str
            Name of the trial, in the file name.
        seed : int
            Seed of the trial, in the file name.
        told : mapping
            Settings that determine the result, as JSON values.
        measure : callable
            Function that returns the result, as JSON values.

        Returns
        -------
        dict
            The result.

        Raises
        ------
        ValueError
            If the file was written with other settings.
        """
        path = self.folder / f"{name}-seed{seed}.json"
        wanted = json.loads(json.dumps(dict(told)))
        if path.exists():
            done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if changed := changed_keys(done["told"], wanted):
                raise ValueError(
                    message(
                        "the settings with which this trial was made",
                        "Choose another folder, or remove the file.",
                        changed=changed,
                        file=str(path),
                    )
                )
            return dict(done["found"])
        found = dict(measure())
        atomic.write_json(path, {"told": wanted, "found": found})
        return found
