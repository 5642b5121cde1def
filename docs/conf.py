"""Sphinx's settings for the site. ``docs/build.py`` says what it reads."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from airflow_provider_dotypos import __version__

project = "airflow-provider-dotypos"
author = "the authors of airflow-provider-dotypos"
project_copyright = author
version = release = __version__
html_title = f"Dotypos for Apache Airflow {release}"

extensions = ["sphinx.ext.autodoc", "myst_parser", "docs.linked_names"]
root_doc = "index"
nitpicky = True

# Pages are Markdown as a forge shows it, with the anchors that it makes of headings.
myst_heading_anchors = 6
myst_enable_extensions = []
# Examples of JSON and of shells have an ellipsis in place of a value.
suppress_warnings = ["misc.highlighting_failure"]

# Docstrings: `name` is code, and a link if something public is called so (`docs.linked_names`).
default_role = "code"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "mixed"

# References that lead nowhere are errors (`nitpicky`), but for these:
nitpick_ignore_regex = [
    # Types in signatures, which no prose writes: other packages', whose sites would have to be fetched, and types that
    # only this package's own code makes. Names in prose are looked at by `docs.linked_names`.
    ("py:class", r".+"),
    # Airflow's errors.
    ("py:exc", r"Airflow\w+"),
]

html_theme = "furo"
pygments_dark_style = "github-dark"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_last_updated_fmt = None
html_theme_options = {"navigation_with_keys": True}
