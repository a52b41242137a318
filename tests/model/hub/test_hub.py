"""Fetching from and publishing to a hub, which runs on this machine."""

import numpy as np
import pytest

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.model import load_model, save_model
from galcnn.model.hub import fetch_from_hub
from galcnn.model.publishing import publish
from tests.conftest import toy_images
from tests.model.hub.server import running

constants = pytest.importorskip("huggingface_hub.constants", reason="pip install 'galcnn[hub]' installs it")

#: huggingface_hub 2.4 uploads large files in a way that its client httpx2 will drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning:httpx2")
PATH = "/{repo_id}/resolve/{revision}/{filename}"
ENCODER = {"config.json": b'{"architecture": "resnet18"}', "model.safetensors": b"weights"}


@pytest.fixture(scope="module")
def trained_folder(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("models") / "toy").folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, and a client with an empty cache and the token of a user who may write."""
    with running() as made:
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", made.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", "writer")
        yield made


def test_a_stated_revision_is_fetched_and_nothing_but_numbers_and_text(hub):
    first = hub.commit("me/net", ENCODER | {"run.py": b"1 / 0", "pytorch_model.bin": b"pickle"})
    second = hub.commit("me/net", {"model.safetensors": b"other weights"})
    for address, commit, content in [
        ("hf://me/net", second, b"other weights"),
        (f"hf://me/net@{first}", first, b"weights"),
        ("hf://me/net@main", second, b"other weights"),
    ]:
        found = fetch_from_hub(address)
        assert (found.repository, found.commit, found.is_model) == ("me/net", commit, False)
        assert (found.folder / "model.safetensors").read_bytes() == content
        assert sorted(path.name for path in found.folder.iterdir()) == sorted(ENCODER)


def test_files_in_the_cache_are_not_fetched_again(hub):
    commit = hub.commit("me/net", ENCODER)
    fetch_from_hub(f"hf://me/net@{commit}")
    hub.requests.clear()
    fetch_from_hub(f"hf://me/net@{commit}")
    assert not [one for one in hub.requests if one.startswith("GET") and "/resolve/" in one]


def test_a_published_model_is_read_back_bit_equal(hub, trained_folder):
    address = publish(trained_folder, "hf://me/rings")
    found = fetch_from_hub(address)
    assert found.is_model
    assert address == f"hf://me/rings@{found.commit}"
    for name in ("model.keras", "card.json"):
        assert (found.folder / name).read_bytes() == (trained_folder / name).read_bytes()
    before, after = load_model(trained_folder), load_model(found.folder)
    for one, other in zip(before.model.get_weights(), after.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    readme = (found.folder / "README.md").read_text()
    assert readme.startswith("---\nlibrary_name: keras\n")
    assert "galcnn train --from hf://me/rings" in readme


def test_an_address_is_the_name_of_a_model_in_every_command(hub, trained_folder, tmp_path, capsys):
    address = publish(trained_folder, "hf://me/rings")
    assert load_model(address).card == load_model(trained_folder).card
    images, _ = toy_images(1)
    save_cutout(Cutout(np.moveaxis(images[0], -1, 0), ("g", "r")), tmp_path / "a.fits")
    tables = []
    for model, out in ((address, "hub.csv"), (str(trained_folder), "folder.csv")):
        words = ["classify", model, str(tmp_path / "a.fits"), "--out", str(tmp_path / out), "--quiet"]
        assert main(words) == 0
        tables.append((tmp_path / out).read_text())
    assert tables[0] == tables[1]
    assert main(["info", address]) == 0
    assert "round, thin" in capsys.readouterr().out
    hub.commit("me/net", ENCODER)
    with pytest.raises(ValueError, match=r"a model of galcnn.*train --from"):
        load_model("hf://me/net")
    assert main(["classify", "hf://me/none", str(tmp_path / "a.fits"), "--out", str(tmp_path / "b.csv")]) == 2
    assert "there is no such repository" in capsys.readouterr().err


def test_a_repository_is_not_overwritten_unasked(hub, trained_folder):
    commit = hub.commit("me/rings", {"README.md": b"mine"})
    with pytest.raises(FileExistsError, match=r"holds other files: README\.md.*--overwrite"):
        publish(trained_folder, "hf://me/rings")
    assert hub.find("me/rings", "main")[0] == commit
    publish(trained_folder, "hf://me/rings", overwrite=True)
    assert hub.find("me/rings", commit)[1]["README.md"] == b"mine"  # the older commit is still there
    assert hub.find("me/rings", "main")[1]["README.md"] != b"mine"


def test_who_may_not_write_is_told_to_log_in(hub, trained_folder):
    hub.tokens = {"another"}
    with pytest.raises(PermissionError, match="hf auth login"):
        publish(trained_folder, "hf://me/rings")
    assert not hub.commits


@pytest.mark.parametrize(
    ("address", "error", "says"),
    [
        ("hf://me/none", FileNotFoundError, "no such repository, or you may not see it"),
        ("hf://me/net@v9", FileNotFoundError, "no such revision"),
        ("hf://me/gated", FileNotFoundError, "accept them on its page"),
        ("hf://me/pickle", ValueError, r"pytorch_model\.bin.*A pickle runs code"),
        ("hf://me/else", ValueError, r"files=\['notes\.txt'\]"),
        ("hf://net", ValueError, "an address hf://owner/name"),
        ("me/net", ValueError, "an address hf://owner/name"),
        ("hf://me/../../net", ValueError, "an address hf://owner/name"),
    ],
)
def test_what_cannot_be_fetched_is_said(hub, address, error, says):
    hub.commit("me/net", ENCODER)
    hub.commit("me/pickle", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    hub.commit("me/else", {"notes.txt": b"none"})
    hub.commit("me/gated", ENCODER)
    hub.gated.add("me/gated")
    with pytest.raises(error, match=says):
        fetch_from_hub(address)


def test_a_hub_with_a_fault_or_none_at_all_is_said(hub, monkeypatch):
    hub.commit("me/net", ENCODER)
    hub.fault = 503
    with pytest.raises(ConnectionError, match="HTTP 503"):
        fetch_from_hub("hf://me/net")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="cannot be reached"):
        fetch_from_hub("hf://me/net")


@pytest.mark.full  # the client tries again for 20 s
def test_an_upload_that_breaks_off_commits_nothing(hub, trained_folder):
    hub.uploads = None  # the upload of a large file ends without an answer
    with pytest.raises(ConnectionError, match=r"model\.keras.*Publish again"):
        publish(trained_folder, "hf://me/rings")
    assert list(hub.find("me/rings", "main")[1]) == [".gitattributes"]


def test_publish_from_the_command_line(hub, trained_folder, capsys):
    assert main(["publish", str(trained_folder), "--to", "hf://me/rings"]) == 0
    commit = hub.find("me/rings", "main")[0]
    assert capsys.readouterr().out == f"wrote hf://me/rings@{commit}\n"
    assert main(["publish", str(trained_folder), "--to", "rings"]) == 2
    assert "Expected an address hf://owner/name" in capsys.readouterr().err
