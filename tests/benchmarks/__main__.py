"""Run every benchmark module and write bench.json: flat names to ratios, and the conditions."""

import argparse
import importlib
import os
import pkgutil
import platform
from datetime import UTC, datetime
from importlib.metadata import version

from galcnn import atomic
from tests import benchmarks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="bench.json")
    parser.add_argument("--only", default="", help="run modules whose name holds this")
    arguments = parser.parse_args()
    result: dict[str, object] = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name.startswith("bench_") and arguments.only in module.name:
            for name, ratio in importlib.import_module(f"tests.benchmarks.{module.name}").ratios().items():
                result[name] = round(ratio, 4)
                print(f"{name:<50} {ratio:.3f}", flush=True)  # noqa: T201
    result["conditions"] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": [round(x, 2) for x in os.getloadavg()],
        **{name: version(name) for name in ("tensorflow", "keras", "astropy", "numpy", "galsim")},
    }
    atomic.write_json(arguments.out, result)


if __name__ == "__main__":
    main()
