"""Models and encoders on the Hugging Face hub: ``hf://owner/name@revision``."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from galcnn.errors import message
from galcnn.model.bundle import TrainedModel, load_model
from galcnn.model.card import card_lines
from galcnn.model.encoders import CONFIG, WEIGHTS, is_pickle, pickle_refused

SCHEME = "hf://"
#: Files of a model of galcnn, and of an encoder in the format of timm. Nothing else is fetched.
_MODEL = ("model.keras", "card.json")
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
        return all((self.folder / name).exists() for name in _MODEL)


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
    repository, revision = _parsed(address)
    hub = _hub()
    with _Answers(address):
        api = hub.HfApi()
        info = api.model_info(repository, revision=revision)
        held = [one.rfilename for one in info.siblings or []]
        wanted = next((names for names in (_MODEL, _ENCODER) if set(names) <= set(held)), None)
        if wanted is None:
            if pickles := [name for name in held if is_pickle(name)]:
                raise pickle_refused(pickles)
            raise ValueError(
                message(
                    f"a repository with {' and '.join(_MODEL)}, or {' and '.join(_ENCODER)}",
                    "Other networks are fetched by hand and imported: galcnn import.",
                    address=address,
                    files=sorted(held)[:20],
                )
            )
        patterns = [*wanted, *_BESIDE]
        folder = hub.snapshot_download(repository, revision=info.sha, allow_patterns=patterns)
    return Fetched(Path(folder), repository, str(info.sha))


def publish(model: str | os.PathLike[str], address: str, *, overwrite: bool = False) -> str:
    """Publish a model folder on the Hugging Face hub, with its card and a README.

    Parameters
    ----------
    model : path-like
        Model folder, see `galcnn.model.load_model`.
    address : str
        ``hf://owner/name``. The repository is made if there is none.
    overwrite : bool
        If True, a repository with other files, or with another model, gets these files in a new commit.

    Returns
    -------
    str
        Address with the hash of the commit, ``hf://owner/name@commit``, from which `fetch_from_hub` reads
        the same bytes.

    Raises
    ------
    ValueError
        If the address is none, or has a revision.
    FileExistsError
        If the repository holds other files and `overwrite` is False.
    PermissionError
        If the hub does not know the user, or the user may not write there.
    ConnectionError
        If the hub cannot be reached.
    ImportError
        If huggingface-hub is not installed.
    """
    repository, revision = _parsed(address)
    if revision is not None:
        raise ValueError(message("an address without a revision", "Its commit is returned.", address=address))
    trained = load_model(model)
    hub = _hub()
    with _Answers(address), tempfile.TemporaryDirectory() as folder:
        for name in (*_MODEL, "uncertainty.json"):
            if (trained.folder / name).exists():  # type: ignore[operator]
                Path(folder, name).symlink_to(trained.folder / name)  # type: ignore[operator]
        Path(folder, "README.md").write_text(_readme(trained, repository), encoding="utf-8")
        api = hub.HfApi()
        api.create_repo(repository, exist_ok=True)
        held = set(api.list_repo_files(repository)) - {".gitattributes"}
        if held and not overwrite:
            raise FileExistsError(
                f"{address} holds other files: {', '.join(sorted(held)[:5])}. Choose another name, or say "
                "--overwrite."
            )
        said = f"{trained.card.name}, sha256 {trained.card.model_sha256[:12]}"
        made = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=said)
    return f"{SCHEME}{repository}@{made.oid}"


def _parsed(address: str) -> tuple[str, str | None]:
    """Return repository and revision of an address."""
    found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if found is None:
        raise ValueError(
            message("an address hf://owner/name or hf://owner/name@revision", "", address=address)
        )
    return found["repository"], found["revision"]


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError("huggingface-hub is not installed: pip install 'galcnn[hub]'.") from error
    return huggingface_hub


class _Answers:
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


def _readme(trained: TrainedModel, repository: str) -> str:
    """Return the README of a model: what it is, what it was trained on, and how to use it."""
    card = trained.card
    licence = str(card.data.get("licence") or "")
    heading = ["---", "library_name: keras", "tags: [galcnn, astronomy, galaxy-morphology]"]
    if licence:
        heading += ["license: other", f"license_name: {_yaml(licence)}"]
    return "\n".join(
        [
            *heading,
            "---",
            "",
            f"# {repository.rpartition('/')[2]}",
            "",
            "A network for the morphology of galaxies, trained with galcnn.",
            "",
            "```",
            *card_lines(replace(card, name=repository)),
            "```",
            "",
            "Start a training from it:",
            "",
            "```",
            f"galcnn train --from {SCHEME}{repository} --catalog labels.csv --out mine",
            "```",
            "",
        ]
    )


def _yaml(text: str) -> str:
    """Return text as a string of YAML."""
    return "'" + " ".join(text.split()).replace("'", "''") + "'"
