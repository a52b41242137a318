"""Print how well each identity of the maps holds: `python -m tests.explain.identity_table`.

Runs the tests of the identities and keeps, of every comparison in them, the greatest difference over the
greatest expected value (the difference itself where zero is expected).
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
#: Where an identity is tested beside test_identities.py, whose sections carry the numbers.
OTHERS = {
    "test_activations.py": "5. Adjoints.",
    "test_cam.py::test_mean_of_the_cells_plus_bias_is_the_score": "7. Class activation maps.",
    "test_visualisation.py::test_of_a_linear_network_the_class_model_is_w_over_2_lambda": (
        "9. Class models of linear networks."
    ),
    "test_visualisation.py::test_with_a_box_each_pixel_sits_at_the_bound_that_the_sign_of_w_chooses": (
        "9. Class models of linear networks."
    ),
}


class Errors:
    """A plugin of pytest that measures what the tests compare."""

    def __init__(self):
        self.found = defaultdict(list)
        self.failed = set()
        self._compare = np.testing.assert_allclose

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        name = f"{item.path.name}::{item.originalname}"

        def compare(actual, desired, *args, **kwargs):
            a, b = (np.asarray(x, dtype="float64") for x in (actual, desired))
            peak = np.abs(b).max(initial=0)
            self.found[name].append(np.abs(a - b).max(initial=0) / (peak if peak > 0 else 1))
            self._compare(actual, desired, *args, **kwargs)

        np.testing.assert_allclose = compare
        try:
            return (yield)
        finally:
            np.testing.assert_allclose = self._compare

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)


def sections():
    """Name the identity of each test in test_identities.py, by the comment above it."""
    title, found = "", {}
    for line in (HERE / "test_identities.py").read_text().splitlines():
        if heading := re.match(r"# (\d+\. .*)", line):
            title = heading[1]
        if test := re.match(r"def (test_\w+)", line):
            found[f"test_identities.py::{test[1]}"] = title
    return found


def main():
    errors = Errors()
    paths = [str(HERE / name) for name in ("test_identities.py", *OTHERS)]
    code = pytest.main(["-q", "-m", "not full", *paths], plugins=[errors])
    known = sections()
    print("\nidentity, its tests: comparisons, greatest error")  # noqa: T201
    last = ""
    order = sorted(errors.found, key=lambda name: int(title_of(name, known).split(".")[0]))
    for name in order:
        title = title_of(name, known)
        if title != last:
            print(f"\n{title}")  # noqa: T201
        last, own = title, errors.found[name]
        failed = "  FAILED" if any(name in node for node in errors.failed) else ""
        words = name.split("::")[1].removeprefix("test_").replace("_", " ")
        print(f"  {len(own):5d}  {max(own):8.1e}  {words}{failed}")  # noqa: T201
    return int(code)


def title_of(name, known):
    return known.get(name) or OTHERS.get(name) or OTHERS[name.split("::")[0]]


if __name__ == "__main__":
    sys.exit(main())
