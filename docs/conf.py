"""Settings of the site; `make docs` builds it.

Warnings are errors there. Nothing is fetched, neither by the build nor by its pages.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

from rankrise import __version__  # noqa: E402

project = "rankrise"
author = "The rankrise authors"
release = version = __version__
html_title = f"rankrise {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "api_pages",
    "equations",
    "linked_names",
    "notebooks",
]
exclude_patterns = ["_build", "_extensions"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
# Without a link in text between backticks being one that must lead somewhere.
default_role = "py:obj"

autosummary_generate = False
autodoc_member_order = "bysource"
# A contract is said once, where it is abstract.
autodoc_inherit_docstrings = False
autodoc_default_options = {
    "members": True,
    "inherited-members": "Module,BaseEstimator,Exception,Enum,tuple,ABC,object",
}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
python_display_short_literal_types = True
python_maximum_signature_line_length = 70
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
# Light and dark, as rankrise draws its figures: Okabe and Ito's blue.
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#00629b",
        "color-brand-content": "#00629b",
    },
    "dark_css_variables": {
        "color-brand-primary": "#56b4e9",
        "color-brand-content": "#56b4e9",
    },
}
