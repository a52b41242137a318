"""Protocol of surveys, sources of calibrated images, and how to open one by name.

A plugin of the group `galcnn.surveys` names a class or function that returns a `Survey` when it is
called without arguments. Its keyword arguments are the options of the survey: strings, numbers and
booleans. `server` is the address of the service, so that a mirror or a test server can be used.
In a dataclass, declare fields that do not affect images, such as limits, with ``repr=False``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from galcnn import plugins
from galcnn.errors import PluginError, did_you_mean, message, wrong_type

if TYPE_CHECKING:
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    from galcnn.cutout import Cutout


@runtime_checkable
class Survey(Protocol):
    """Source of images of the sky, provided by a plugin of the group `galcnn.surveys`.

    Attributes
    ----------
    name : str
        Name of the survey with its data release.
    bands : tuple of str
        Bands that the survey observes.
    pixel_scale : astropy.units.Quantity
        Pixel scale of its images.
    """

    @property
    def name(self) -> str: ...

    @property
    def bands(self) -> tuple[str, ...]: ...

    @property
    def pixel_scale(self) -> u.Quantity: ...

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Return the image around a position.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side of the image.
        bands : tuple of str, optional
            Bands in output order. By default all bands of the survey.

        Returns
        -------
        galcnn.cutout.Cutout
            The image, centred within half a pixel of `position`.

        Raises
        ------
        galcnn.errors.CoverageError
            If the survey did not observe this position.
        galcnn.errors.DownloadError
            If the service did not answer; try again later.
        """
        ...


@runtime_checkable
class RemoteSurvey(Survey, Protocol):
    """Survey that sends requests to a service at the address `server`."""

    @property
    def server(self) -> str: ...

    def requests(
        self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Return the addresses that `cutout` would request, in order, without sending a request."""
        # <...> stands for the part of an address that depends on an earlier answer.
        ...


def open_survey(
    name: str, *, server: str | None = None, options: Mapping[str, object] | None = None
) -> Survey:
    """Open a survey by the name of its plugin.

    Parameters
    ----------
    name : str
        Name of the survey, as listed by `galcnn plugins`.
    server : str, optional
        Address of a mirror or a test server.
    options : mapping, optional
        Options of the survey by name. Strings are converted to a number or boolean if the default of
        the option is one.

    Returns
    -------
    Survey
        The survey. No request is sent yet.

    Raises
    ------
    galcnn.errors.PluginError
        If there is no such survey, or its package is broken.
    ValueError
        If the survey has no such option.

    Examples
    --------
    >>> open_survey("simulated", options={"n_galaxies": "60"}).n_galaxies
    60
    """
    make = plugins.load(plugins.SURVEYS, name)
    # Other values, such as limits or a telescope, can only be given to the class itself.
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
                    "It uses no server." if key == "server" else did_you_mean(key, known),
                    **{key: value},
                )
            )
        given[key] = _read(value, known[key].default, key)
    survey = make(**given)
    if not isinstance(survey, Survey):
        raise PluginError(
            message("a survey with name, bands, pixel_scale and cutout", "Repair the plugin.", survey=survey)
        )
    return survey


def as_survey(survey: Survey | str) -> Survey:
    """Return a survey as it is, or open it by its name."""
    if isinstance(survey, str):
        return open_survey(survey)
    if isinstance(survey, type) or not isinstance(survey, Survey):
        raise wrong_type("a survey, or its name as listed by galcnn plugins", survey=survey)
    return survey


def _read(value: object, default: object, key: str) -> object:
    """Convert a string from the command line to the type of the default."""
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
