"""Error messages in the words of the command line: options in place of arguments of Python."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence

import click

from galcnn.errors import Message

#: Sentences for errors of the operating system; `path` is the file.
_SENTENCES: Mapping[int, str] = {
    errno.ENOENT: "File not found: {path}.",
    errno.EISDIR: "{path} is a folder; give a file.",
    errno.ENOTDIR: "{path} is not a folder.",
    errno.EEXIST: "{path} exists already.",
    errno.EACCES: "No permission to use {path}.",
    errno.EPERM: "No permission to use {path}.",
    errno.EROFS: "{path} cannot be written: the disk is read-only.",
    errno.ENOSPC: "The disk is full.",
    errno.EDQUOT: "The disk is full: your quota is used up.",
    errno.EFBIG: "The disk takes no file of this size.",
    errno.ENAMETOOLONG: "The file name is too long: {path}.",
    errno.ENETUNREACH: "Cannot reach the network.",
    errno.EHOSTUNREACH: "Cannot reach the host; check the network.",
    errno.ECONNREFUSED: "The host refused the connection.",
}
#: Text of an error of the system.
_QUOTED = r"(?P<{0}>['\"])(?P<{1}>(?:\\.|[^\\])*?)(?P={0})"  # as `repr` quotes a path
_SYSTEM = re.compile(
    r"\[Errno (?P<number>\d+)\] (?P<said>[^:]*)"
    rf"(: {_QUOTED.format('mark', 'path')}( -> {_QUOTED.format('second', 'new')})?)?"
)
#: Quoted words, paths and URLs, which may contain the name of an argument.
_VERBATIM = re.compile(r"""((?<![\w=])(?:'[^']*'|"[^"]*")(?!\w)|\S*/\S*)""")


def sentence(error: BaseException, command: click.Command | None = None, words: Sequence[str] = ()) -> str:
    """Return the message of an error of a command that was called with `words`."""
    if type(error).__name__ == "gaierror":  # of socket, which only `surveys.http` imports
        return "Cannot reach the host; check its name and the network."
    if isinstance(error, MemoryError):
        return "Not enough memory. Use smaller images or fewer at a time."
    text = str(error) or type(error).__name__
    # astropy passes the text of an error of the system on, without its number.
    if isinstance(error, OSError):
        text = _SYSTEM.sub(_plain, text)
    worded = error.args[0] if error.args else None
    if command is None:
        return text
    names = _options(command)
    if not isinstance(worded, Message) or text != worded:
        return _told(text, names, whole=False)
    typed = {word.partition("=")[0] for word in words if word.startswith("-")}
    given = {name: option for name, option in names.items() if option in typed}
    received = [_received(name, value, given) for name, value in worded.received.items()]
    parts = [
        f"{worded.subject}:" if worded.subject else "",
        _told(f"Expected {worded.expected}.", names),
        f"Received: {', '.join(received)}." if received else "",
        _told(worded.remedy, names),
    ]
    return " ".join(filter(None, parts))


def _plain(found: re.Match[str]) -> str:
    """Reword the text of an error of the system."""
    path = found["path"] or "the file"
    known = _SENTENCES.get(int(found["number"]))
    return known.format(path=path) if known else f"{found['said']}: {path}."


def _options(command: click.Command) -> dict[str, str]:
    """Return the options of a command by the names of their values in Python."""
    found = {"overwrite": "--overwrite"}  # also an option of galcnn itself
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name:
            longest = max(parameter.opts, key=len)
            found[parameter.name.rstrip("_")] = longest
            found[longest.lstrip("-").replace("-", "_")] = longest
    return found


def _received(name: str, value: str, given: Mapping[str, str]) -> str:
    """Name a value by its option, if the user has given it; a text is shown without quotes."""
    if name not in given:
        return f"{name}={value}"
    plain = re.fullmatch(r"'([^'\s]+)'", value)
    return f"{given[name]} {plain[1] if plain else value}"


def _told(text: str, names: Mapping[str, str], *, whole: bool = True) -> str:
    """Replace arguments of Python by options, except in quoted words, paths and URLs.

    These are ``name=...`` and ``name=True``; if `whole`, also ``name=value`` and names with an underscore.
    """
    parts = _VERBATIM.split(text)  # every second one is verbatim
    return "".join(part if i % 2 else _replaced(part, names, whole) for i, part in enumerate(parts))


def _replaced(text: str, names: Mapping[str, str], whole: bool) -> str:
    for name, option in names.items():
        known = rf"(?<![\w.\-=]){name}_?"
        text = re.sub(rf"{known}=(True\b|\.\.\.)", option, text)
        if not whole:
            continue
        text = re.sub(rf"{known}='([^'\s]*)'", rf"{option} \1", text)
        text = re.sub(rf"{known}=(?=\S)", f"{option} ", text)
        if "_" in name:
            text = re.sub(rf"{known}\b(?!\s*=)", option, text)
    return text
