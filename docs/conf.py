"""Sphinx: `python -m sphinx -W --keep-going -b html docs docs/_build` builds the pages without a network."""

from mgic_nas import __version__

project = "mgic_nas"
copyright = "the authors of mgic_nas"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
html_theme = "furo"
html_title = f"mgic_nas {release}"
html_show_sphinx = False
