"""Equations as MathML, which browsers draw themselves: no script, no network.

Docstrings write them between dollar signs, as the Markdown pages do.
"""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# What docutils' converter does not know by these names.
_NAMES = {r"\dots": r"\ldots", r"\le ": r"\leq ", r"\ge ": r"\geq ", r"\ne ": r"\neq "}
# It puts the index of `\hat w_r` under the letter, as if it were that of a sum.
_UNDER = re.compile(
    r"<munderover>\s*(<mi>\w</mi>)\s*(<m(\w+)>.*?</m\3>)\s*(<mo [^>]*>[ˆ˙~]</mo>)\s*"
    r"</munderover>",
    re.DOTALL,
)
_DOLLARS = re.compile(r"(?<![\\$])\$([^$]+)\$(?!\$)")


def _mathml(node: nodes.math | nodes.math_block, *, as_block: bool) -> str:
    text = node.astext()
    for name, known in _NAMES.items():
        text = text.replace(name, known)
    mathml: str = tex2mathml(text, as_block=as_block)
    accented = r'<msub><mover accent="true">\1\4</mover>\2</msub>'
    return _UNDER.sub(accented, mathml)


def _visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _visit_block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(
        f'<div class="equation">{_mathml(node, as_block=True)}</div>\n'
    )
    raise nodes.SkipNode


def _dollars_to_roles(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    text = _DOLLARS.sub(
        lambda found: f":math:`{' '.join(found[1].split())}`", "\n".join(lines)
    )
    lines[:] = text.split("\n")


def setup(app: Any) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.config.html_math_renderer = "mathml"
    # Before napoleon, which cuts docstrings up.
    app.connect("autodoc-process-docstring", _dollars_to_roles, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
