"""Sphinx's settings for the course's site; `.ci/build_site.py` stages the pages and runs it."""

import importlib.util
from pathlib import Path

project = "Neural Networks"
html_title = "Neural Networks, from fundamentals to modern AI"
language = "en"
extensions = ["myst_nb", "sphinx_copybutton"]

nb_execution_mode = "off"  # the notebooks come executed
nb_merge_streams = True
exclude_patterns = ["*/download"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]

# one file of MathJax that draws formulas as SVG: no network, no fonts
mathjax = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).with_name("static") / "mathjax"
html_static_path = ["static", str(mathjax / "tex-svg-full.js")]
mathjax_path = "tex-svg-full.js"

html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
copybutton_exclude = ".linenos, .gp, .go"
