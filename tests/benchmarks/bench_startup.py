"""How long a user waits for the first word: against a bare `import astropy`."""

import subprocess
import sys

from tests.benchmarks.timing import ratio


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def ratios() -> dict[str, float]:
    def astropy() -> None:
        _run("-c", "import astropy")

    return {
        "startup.help_over_import_astropy": ratio(lambda: _run("-m", "galcnn.cli.main", "--help"), astropy),
        "startup.import_over_import_astropy": ratio(lambda: _run("-c", "import galcnn"), astropy),
    }
