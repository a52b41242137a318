"""A real Chromium without a screen, for tests that click: what they share."""

import contextlib
import importlib.util
import shutil
import warnings

import pytest

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
MISSING += [name for name in ("selenium",) if importlib.util.find_spec(name) is None]
needs_chromium = pytest.mark.skipif(
    bool(MISSING),
    reason=f"not installed: {', '.join(MISSING)}. `make viewers` (Debian: chromium, chromium-driver)",
)


@contextlib.contextmanager
def chromium(width=1280, height=900):
    """A browser of its own, which keeps what its console says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of selenium's own imports
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for word in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={width},{height}",
        ):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        driver = webdriver.Chrome(options, service)
        try:
            yield driver
        finally:
            driver.quit()


def complaints(driver):
    """What the console says: errors of scripts, refused by the Content-Security-Policy, missing files."""
    said = [one["message"] for one in driver.get_log("browser") if one["level"] in ("WARNING", "SEVERE")]
    # A test that reads the drawn map is told how it could do so faster.
    return [text for text in said if "willReadFrequently" not in text]
