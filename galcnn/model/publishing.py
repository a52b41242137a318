"""Publish a model on the Hugging Face hub, with a README made of its card."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from galcnn.errors import message
from galcnn.model.bundle import TrainedModel, load_model
from galcnn.model.card import SCHEME, card_lines, statement
from galcnn.model.hub import MODEL_FILES, HubErrors, installed_hub, parsed


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
    repository, revision = parsed(address)
    if revision is not None:
        raise ValueError(message("an address without a revision", "Its commit is returned.", address=address))
    trained = load_model(model)
    hub = installed_hub()
    with HubErrors(address), tempfile.TemporaryDirectory() as folder:
        for name in (*MODEL_FILES, "uncertainty.json"):
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
            *(f"- {name}: {text}" for name, text in statement(card)),
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
