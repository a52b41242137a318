"""Plugins, found by two entry-point groups: `galcnn.surveys` and `galcnn.explainers`.

galcnn's own surveys and explainers use the same groups. A plugin is imported only when it is
requested; the error of a broken one names its package and version, and the others still work.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from galcnn.errors import PluginError, did_you_mean, message

SURVEYS = "galcnn.surveys"
EXPLAINERS = "galcnn.explainers"
_KINDS = {SURVEYS: "a survey", EXPLAINERS: "an explanation method"}


@dataclass(frozen=True)
class Plugin:
    """An installed plugin, not yet imported.

    Attributes
    ----------
    name : str
        Name that users type.
    group : str
        Entry-point group.
    target : str
        Object to import, as ``module:object``.
    package, version : str
        Name and version of the distribution that provides the plugin.
    """

    name: str
    group: str
    target: str
    package: str
    version: str


def available(group: str) -> dict[str, Plugin]:
    """List the plugins of a group by name, without importing them.

    Parameters
    ----------
    group : str
        `SURVEYS` or `EXPLAINERS`.

    Returns
    -------
    dict of str to Plugin
        Plugins by name, sorted by name.

    Raises
    ------
    PluginError
        If two packages provide the same name.
    """
    found: dict[str, Plugin] = {}
    for entry in entry_points(group=group):
        plugin = _describe(entry, group)
        twin = found.get(plugin.name)
        # An editable install beside an old one lists the same entry twice: that is one plugin.
        if twin is not None and (twin.package, twin.target) != (plugin.package, plugin.target):
            raise PluginError(
                message(
                    f"one package for each name in {group}",
                    "Uninstall one of the two.",
                    name=plugin.name,
                    packages=sorted({f"{p.package} {p.version}" for p in (twin, plugin)}),
                )
            )
        found[plugin.name] = plugin
    return dict(sorted(found.items()))


def load(group: str, name: str) -> Any:
    """Import a plugin.

    Parameters
    ----------
    group : str
        `SURVEYS` or `EXPLAINERS`.
    name : str
        Name of the plugin, see `available`.

    Returns
    -------
    object
        Object that the entry point names, usually a class.

    Raises
    ------
    PluginError
        If there is no such plugin, or its import fails; the text then names package and version.
    """
    plugins = available(group)
    plugin = plugins.get(name)
    if plugin is None:
        hint = did_you_mean(name, plugins, "Install the package that provides it.")
        raise PluginError(
            message(f"{_KINDS.get(group, 'a plugin')} among {', '.join(plugins)}", hint, name=name)
        )
    try:
        return EntryPoint(plugin.name, plugin.target, group).load()
    except Exception as error:  # a plugin may raise anything on import
        raise PluginError(
            message(
                f"plugin {name!r} of {group} to import",
                f"Update or uninstall {plugin.package}.",
                package=f"{plugin.package} {plugin.version}",
                error=f"{type(error).__name__}: {error}",
            )
        ) from error


def _describe(entry: EntryPoint, group: str) -> Plugin:
    package = entry.dist.name if entry.dist is not None else "unknown package"
    version = entry.dist.version if entry.dist is not None else "unknown version"
    return Plugin(entry.name, group, entry.value, package, version)


def run_file(path: str) -> None:
    """Run a Python file of the user, which registers classes with Keras: ``galcnn --module``.

    Parameters
    ----------
    path : str
        Python file.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or its name does not end in ``.py``.
    PluginError
        If it raises an error.
    """
    file = Path(path)
    name = f"galcnn_module_{file.stem}"
    spec = spec_from_file_location(name, file)
    if file.suffix != ".py" or spec is None or spec.loader is None:
        raise ValueError(message("a Python file", "", module=path))
    if not file.is_file():
        raise FileNotFoundError(f"File not found: {file}.")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the code of the user may raise anything
        raise PluginError(
            message(
                "a Python file that can be run", "", module=path, error=f"{type(error).__name__}: {error}"
            )
        ) from error
