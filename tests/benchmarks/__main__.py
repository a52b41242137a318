"""Run every benchmark module and write bench.json: flat names to ratios, details, and the conditions."""

import argparse
import importlib
import os
import pkgutil
import platform
from datetime import UTC, datetime
from importlib.metadata import version

from galcnn._runtime import atomic
from tests import benchmarks
from tests.benchmarks.timing import Ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="bench.json")
    parser.add_argument("--only", default="", help="run modules whose name holds this")
    arguments = parser.parse_args()
    result: dict[str, object] = {}
    details: dict[str, object] = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name.startswith("bench_") and arguments.only in module.name:
            for name, ratio in importlib.import_module(f"tests.benchmarks.{module.name}").ratios().items():
                result[name] = round(ratio, 4)
                beside = ""
                if isinstance(ratio, Ratio):
                    low, high = (round(end, 4) for end in ratio.interval)
                    details[name] = {
                        "interval_90": [low, high],
                        "cpu_ratio": round(ratio.cpu, 4),
                        "pairs": ratio.pairs,
                    }
                    beside = f"  [{low:.3f}, {high:.3f}]  cpu {ratio.cpu:.3f}"
                print(f"{name:<50} {ratio:.3f}{beside}", flush=True)  # noqa: T201
    result["details"] = details
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
