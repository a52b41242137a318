"""Sphinx: the site of galcnn, by ``make docs``."""

import os
import sys
from pathlib import Path

import galcnn

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "galcnn"
author = "The galcnn developers"
project_copyright = author
version = release = galcnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "generated_reference",
    "pages_of_the_checkout",
    "mathml",
]
exclude_patterns = ["_ext/**"]
default_role = "py:obj"
smartquotes = False  # options and names keep their characters
highlight_language = "none"

# The docstrings hold the types; a signature with both would be read twice.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
autodoc_inherit_docstrings = False  # what a base or protocol says is said there
numpydoc_show_class_members = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# Tutorials are run once; an executed one is kept until its text changes.
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parents[1] / "build" / "docs" / "executed")
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True  # some write files
nb_output_stderr = "remove"  # what TensorFlow writes when it starts
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

html_theme = "pydata_sphinx_theme"
html_title = "galcnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "galcnn"},
    "show_toc_level": 2,
    "show_nav_level": 1,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 8,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_sidebars = {"index": [], "start": []}
copybutton_exclude = ".linenos, .gp, .go"
