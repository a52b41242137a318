"""Models and encoders on the Hugging Face hub: ``hf://owner/name@revision``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from galcnn.errors import message
from galcnn.model.card import CARD, MODEL
from galcnn.model.encoders import CONFIG, WEIGHTS, is_pickle, pickle_refused

#: Files of a model of galcnn, and of an encoder in the format of timm. Nothing else is fetched.
MODEL_FILES = (MODEL, CARD)
_ENCODER = (CONFIG, WEIGHTS)
_BESIDE = ("uncertainty.json", "README.md")
_ADDRESS = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Fetched:
    """A model or an encoder that was fetched from the hub.

    Attributes
    ----------
    folder : pathlib.Path
        Folder with its files, in the cache of huggingface_hub.
    repository : str
        ``owner/name``.
    commit : str
        Hash of the commit; with it, the same files are fetched again.
    """

    folder: Path
    repository: str
    commit: str

    @property
    def is_model(self) -> bool:
        """True for a model of galcnn, False for an encoder in the format of timm."""
        return all((self.folder / name).exists() for name in MODEL_FILES)


def fetch_from_hub(address: str) -> Fetched:
    """Fetch a model of galcnn, or an encoder in the format of timm, from the Hugging Face hub.

    Only files that hold numbers and text are fetched, and those that are in the cache already are not
    fetched again. The environment variables of huggingface_hub apply (``HF_HOME``, ``HF_TOKEN``,
    ``HF_ENDPOINT``).

    Parameters
    ----------
    address : str
        ``hf://owner/name`` or ``hf://owner/name@revision``: a branch, a tag or, so that the same files are
        fetched next year, the hash of a commit.

    Returns
    -------
    Fetched
        Folder, repository and commit.

    Raises
    ------
    ValueError
        If the address is none, or the repository holds neither a model nor an encoder, or only a pickle.
    FileNotFoundError
        If there is no such repository or revision, or it is not open to this user.
    ConnectionError
        If the hub cannot be reached and the files are not in the cache.
    ImportError
        If huggingface-hub is not installed.
    """
    repository, revision = parsed(address)
    hub = installed_hub()
    with HubErrors(address):
        api = hub.HfApi()
        info = api.model_info(repository, revision=revision)
        held = [one.rfilename for one in info.siblings or []]
        wanted = next((names for names in (MODEL_FILES, _ENCODER) if set(names) <= set(held)), None)
        if wanted is None:
            if pickles := [name for name in held if is_pickle(name)]:
                raise pickle_refused(pickles)
            raise ValueError(
                message(
                    f"a repository with {' and '.join(MODEL_FILES)}, or {' and '.join(_ENCODER)}",
                    "Other networks are fetched by hand and imported: galcnn import.",
                    address=address,
                    files=sorted(held)[:20],
                )
            )
        patterns = [*wanted, *_BESIDE]
        folder = hub.snapshot_download(repository, revision=info.sha, allow_patterns=patterns)
    return Fetched(Path(folder), repository, str(info.sha))


def parsed(address: str) -> tuple[str, str | None]:
    """Return repository and revision of an address."""
    found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if found is None:
        raise ValueError(
            message("an address hf://owner/name or hf://owner/name@revision", "", address=address)
        )
    return found["repository"], found["revision"]


def installed_hub() -> ModuleType:
    """Import huggingface_hub."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError("huggingface-hub is not installed: pip install 'galcnn[hub]'.") from error
    return huggingface_hub


class HubErrors:
    """Raises what the hub answers as errors of Python, in plain sentences."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            return
        from huggingface_hub import errors

        if isinstance(error, errors.GatedRepoError):
            raise FileNotFoundError(
                f"{self.address} is open to those who accepted its terms: accept them on its page, and "
                "log in by hf auth login."
            ) from error
        if isinstance(error, errors.RevisionNotFoundError):
            raise FileNotFoundError(f"{self.address}: there is no such revision.") from error
        if isinstance(error, errors.RepositoryNotFoundError):
            raise FileNotFoundError(
                f"{self.address}: there is no such repository, or you may not see it: hf auth login."
            ) from error
        if isinstance(error, errors.LocalTokenNotFoundError):
            raise PermissionError(f"{self.address}: log in by hf auth login.") from error
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, errors.HfHubHTTPError) and status in (401, 403):
            raise PermissionError(
                f"{self.address}: the hub refuses this user (HTTP {status}): hf auth login."
            ) from error
        if isinstance(error, errors.HfHubHTTPError):
            raise ConnectionError(f"{self.address}: the hub answers HTTP {status}; try later.") from error
        if isinstance(error, RuntimeError) and str(error).startswith("Error while uploading"):
            raise ConnectionError(f"{self.address}: {error} Publish again.") from error
        if type(error).__module__.partition(".")[0].startswith(("httpx", "httpcore")):
            raise ConnectionError(
                f"{self.address}: the hub cannot be reached ({type(error).__name__})."
            ) from error
