"""Survey: what every source of calibrated images can do, and how one is opened by name.

A plugin of the group `galcnn.surveys` names a class (or function) that gives a `Survey` when it is
called without arguments. Its keyword arguments are the options of the survey: strings, numbers and
booleans; `server` is the address of the service, so that a mirror or a test server can be used.
In a dataclass, fields that do not decide what an image looks like (limits, say) have ``repr=False``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from galcnn import plugins
from galcnn.errors import PluginError, message

if TYPE_CHECKING:
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    from galcnn.cutout import Cutout


@runtime_checkable
class Survey(Protocol):
    """A source of images of the sky; a plugin of the group `galcnn.surveys` makes one.

    Attributes
    ----------
    name : str
        With its data release.
    bands : tuple of str
        What it observes.
    pixel_scale : astropy.units.Quantity
        Of its images.
    """

    @property
    def name(self) -> str: ...

    @property
    def bands(self) -> tuple[str, ...]: ...

    @property
    def pixel_scale(self) -> u.Quantity: ...

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Give the image around a position.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side.
        bands : tuple of str, optional
            Wanted bands in the wanted order; all by default.

        Returns
        -------
        galcnn.cutout.Cutout
            The image, its centre within half a pixel of `position`.

        Raises
        ------
        galcnn.errors.CoverageError
            The survey did not observe this position.
        galcnn.errors.DownloadError
            The service did not answer; try again later.
        """
        ...


@runtime_checkable
class RemoteSurvey(Survey, Protocol):
    """A survey that asks a service, at the address `server`."""

    @property
    def server(self) -> str: ...

    def requests(
        self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Give the addresses that `cutout` would ask for, in order, without asking."""
        # Where an address depends on an earlier answer, <...> stands for that part.
        ...


def open_survey(
    name: str, *, server: str | None = None, options: Mapping[str, object] | None = None
) -> Survey:
    """Open a survey by the name of its plugin.

    Parameters
    ----------
    name : str
        See `galcnn plugins`.
    server : str, optional
        Address of a mirror or a test server.
    options : mapping, optional
        Options of this survey by name. Strings are read as numbers and booleans where the default
        of the option is one.

    Returns
    -------
    Survey
        Nothing is asked of its service yet.

    Raises
    ------
    galcnn.errors.PluginError
        No such survey, or its package is broken.
    ValueError
        It has no such option.

    Examples
    --------
    >>> open_survey("simulated", options={"n_galaxies": "60"}).n_galaxies
    60
    """
    make = plugins.load(plugins.SURVEYS, name)
    # What no word can say, such as limits or a telescope, is given to the class itself.
    known = {
        key: parameter
        for key, parameter in inspect.signature(make).parameters.items()
        if parameter.default is parameter.empty
        or isinstance(parameter.default, str | bool | int | float | None)
    }
    given = dict(options or {}) | ({} if server is None else {"server": server})
    for key, value in given.items():
        if key not in known:
            raise ValueError(
                message(
                    f"an option of the survey {name!r}: {', '.join(known) or 'it has none'}",
                    "It asks no server." if key == "server" else "",
                    **{key: value},
                )
            )
        given[key] = _read(value, known[key].default, key)
    survey = make(**given)
    if not isinstance(survey, Survey):
        raise PluginError(
            message("a survey with name, bands, pixel_scale and cutout", "Mend the plugin.", survey=survey)
        )
    return survey


def _read(value: object, default: object, key: str) -> object:
    """Turn the string of a command line into the type of the default."""
    if not isinstance(value, str) or not isinstance(default, bool | int | float):
        return value
    if isinstance(default, bool):
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() in words:
            return words[value.lower()]
        raise ValueError(message("true or false", "", **{key: value}))
    try:
        return type(default)(value)
    except ValueError as error:
        raise ValueError(message("a number", "", **{key: value})) from error
