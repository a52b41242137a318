"""Show layers in running viewers over SAMP: images in DS9, Aladin and others, tables in TOPCAT.

SAMP is the messaging protocol of the Virtual Observatory; programs exchange messages through a hub on
this machine. Aladin and TOPCAT start a hub; otherwise `serve_hub` does.
"""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from galcnn.errors import message
from galcnn.viewers.contents import Layer, layers_of
from galcnn.viewers.ds9 import drawn_layers, plain_path, samp_words, scene
from galcnn.viewers.side_files import contour_files

HOW_TO_START = (
    "Start a viewer: `aladin` or `topcat`, which bring a hub; or `galcnn view --hub` in another "
    "terminal, then `ds9`. Without one: --save FILE.png, or --out DIR."
)
#: Seconds that a viewer may take to answer a message.
_PATIENCE = 60
_DS9, _IMAGE, _TABLE = "ds9.set", "image.load.fits", "table.load.votable"


def send(path: str | os.PathLike[str]) -> list[str]:
    """Show a file in every connected viewer; return one line per viewer."""
    layers = layers_of(path)
    file = Path(path).resolve()
    told = []
    with _client() as client, tempfile.TemporaryDirectory(prefix="galcnn-view-") as folder:
        plain = file
        if not plain_path(str(file)):
            plain = Path(folder) / "layers.fits"
            plain.symlink_to(file)
        for one in client.get_registered_clients():
            known = client.get_subscriptions(one)
            name = client.get_metadata(one).get("samp.name", one)
            if _DS9 in known:
                _show_in_ds9(client, one, plain, layers, Path(folder))
                told.append(f"{name}: {len(drawn_layers(layers))} frames")
            elif _IMAGE in known:
                _call(client, one, _IMAGE, {"url": plain.as_uri(), "name": file.name})
                told.append(f"{name}: {file.name}")
            elif _TABLE in known and (table := _table(file, Path(folder))) is not None:
                _call(client, one, _TABLE, {"url": table.as_uri(), "name": f"{file.stem} morphology"})
                told.append(f"{name}: table MORPHOLOGY")
    if not told:
        raise RuntimeError(message("a viewer that listens on SAMP", HOW_TO_START, viewers=[]))
    return told


def serve_hub(wait: Callable[[], object]) -> None:
    """Run a hub on this machine, for viewers that do not start one, such as DS9."""
    from pyvo import samp

    with samp.conf.set_temp("use_internet", False):
        if _hub_runs(samp):  # a second hub would only warn, and leave its socket open
            raise RuntimeError(
                message("no other hub on this machine", "Use the one that runs.", running=True)
            )
        hub = samp.SAMPHubServer(web_profile=False, addr="127.0.0.1")
        hub.start()
        try:
            wait()
        finally:
            hub.stop()


def _hub_runs(samp: Any) -> bool:
    proxy = samp.SAMPHubProxy()
    try:
        proxy.connect()
    except samp.SAMPHubError:
        return False
    proxy.disconnect()
    return True


@contextmanager
def _client() -> Iterator[Any]:
    from pyvo import samp

    about = "layers of galaxies, explained"
    with samp.conf.set_temp("use_internet", False):  # otherwise pyvo asks the internet for its own host name
        client = samp.SAMPIntegratedClient(name="galcnn", description=about, addr="127.0.0.1")
        try:
            client.connect()
        except (samp.SAMPHubError, OSError) as error:
            raise RuntimeError(
                message("a viewer that listens on SAMP", HOW_TO_START, hub=f"none: {error}")
            ) from error
        try:
            yield client
        finally:
            client.disconnect()


def _show_in_ds9(client: Any, one: str, file: Path, layers: Sequence[Layer], folder: Path) -> None:
    contours = {name: str(path) for name, path in contour_files(layers, folder).items()}
    shows = _call(client, one, "ds9.get", {"cmd": "frame has fits"}).get("value", "")
    for command in scene(str(file), layers, contours, empty=shows.strip() == "no"):
        _call(client, one, _DS9, {"cmd": samp_words(command)})


def _call(client: Any, one: str, kind: str, parameters: dict[str, str]) -> dict[str, str]:
    # call_and_wait is not used: pyvo's hub loses answers that arrive before it waits.
    answer: dict[str, Any] = {}
    answered = threading.Event()

    def take(private_key: str, responder: str, tag: str, response: dict[str, Any]) -> None:
        del private_key, responder, tag
        answer.update(response)
        answered.set()

    tag = uuid.uuid4().hex
    client.bind_receive_response(tag, take)
    client.call(one, tag, {"samp.mtype": kind, "samp.params": parameters})
    if not answered.wait(_PATIENCE):
        raise TimeoutError(
            message(
                "a viewer that answers", "Look at its windows: one may ask for something.", sent=parameters
            )
        )
    if answer["samp.status"] == "samp.error":
        said = answer.get("samp.error", {}).get("samp.errortxt", "")
        raise RuntimeError(
            message("a viewer that understands", "Update it, or use --out DIR.", sent=parameters, said=said)
        )
    result: dict[str, str] = answer.get("samp.result", {})
    return result


def _table(file: Path, folder: Path) -> Path | None:
    from astropy.io import fits
    from astropy.table import Table

    from galcnn.layers.tables import MORPHOLOGY

    with fits.open(file) as hdulist:
        if MORPHOLOGY not in hdulist:
            return None
    table = folder / "morphology.xml"
    if not table.exists():
        Table.read(file, hdu=MORPHOLOGY).write(table, format="votable")
    return table
