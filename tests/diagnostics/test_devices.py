"""The check of a device tells one that computes as the CPU does from one that does not."""

import subprocess
import sys

import pytest

from galcnn.cli.main import main
from galcnn.diagnostics import devices as device_check
from galcnn.model import DeviceSettings


def test_the_cpu_agrees_with_itself_and_the_table_says_where_the_weights_lay(capsys):
    assert main(["profile", "--devices", "--check", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("computing on CPU:0")
    assert shown.count("CPU:0 (") == 3
    assert "they agree within 2%" in shown
    assert main(["profile", "--devices"]) == 0


@pytest.mark.full
def test_two_logical_devices_agree_with_one():
    words = [
        "profile",
        "--devices",
        "--check",
        "--device",
        "cpu",
        "--strategy",
        "mirrored",
        "--replicas",
        "2",
    ]
    words += ["--precision", "mixed_bfloat16"]
    result = subprocess.run(
        [sys.executable, "-m", "galcnn.cli.main", *words], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert "CPU:0, CPU:1" in result.stdout
    assert "they agree within 20%" in result.stdout


def test_a_device_that_computes_something_else_is_told(monkeypatch, capsys):
    """Stands for a broken driver, which cannot be had: the second training learns at another rate."""
    rates = iter((1e-3, 3e-2))
    settings = device_check.TrainingSettings
    monkeypatch.setattr(
        device_check,
        "TrainingSettings",
        lambda **given: settings(**given, learning_rate=next(rates)),
    )
    table = device_check.check_devices(DeviceSettings("cpu"))
    assert not table.meta["agree"]
    assert table.meta["difference"] > table.meta["limit"] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--check"], "Expected --devices with --check"),
        (["--device", "cpu"], "Expected --devices with --check, --device"),
        (["--devices", "blocks"], "Expected --devices without NAMES"),
    ],
)
def test_options_of_devices_and_of_networks_are_not_mixed(words, said, capsys):
    assert main(["profile", *words]) == 2
    assert said in capsys.readouterr().err
