"""Public names in the text of pages, such as `rr.solve(...)`, link to the reference."""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

_NAME = re.compile(r"(?:rr|rankrise)\.([A-Za-z_][\w.]*)(?:\(.*\))?", re.DOTALL)


class LinkNames(SphinxTransform):
    """Wraps literals that are a public name, or a call of one, in a reference."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        for literal in list(self.document.findall(nodes.literal)):
            found = _NAME.fullmatch(literal.astext())
            if found is None or not isinstance(literal.parent, nodes.Element):
                continue
            if isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
                continue
            reference = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=f"rankrise.{found[1]}",
                refwarn=False,
                refdoc=self.env.docname,
            )
            literal.replace_self(reference)
            reference += literal


def setup(app: Any) -> dict[str, Any]:
    app.add_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
