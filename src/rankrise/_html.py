"""Results as notebooks show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

# Longer tables are cut in the middle.
_ROWS = 12


def html_of(
    title: str,
    facts: Mapping[str, str],
    table: Sequence[Mapping[str, str]] | None = None,
    warning: str = "",
) -> str:
    """A title, what is known, a table, and what must be said; all of it escaped.

    Facts without words are left out, and numbers that are none are empty.
    """
    parts = [f"<strong>{escape(title)}</strong>"]
    if warning:
        parts.append(
            '<div role="alert" style="border-left:4px solid #D55E00;padding:2px 8px">'
            f"{escape(warning)}</div>"
        )
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(words)}</td></tr>'
        for name, words in facts.items()
        if words
    )
    parts.append(f"<table><tbody>{rows}</tbody></table>")
    if table:
        parts.append(_table(table))
    return f'<div class="rankrise">{"".join(parts)}</div>'


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    shown = list(rows)
    if len(shown) > _ROWS:
        dots = dict.fromkeys(shown[0], "…")
        shown = [*shown[: _ROWS // 2], dots, *shown[-_ROWS // 2 :]]
    head = "".join(f"<th>{escape(name)}</th>" for name in shown[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(words)}</td>' for words in row.values())}</tr>"
        for row in shown
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(words: str) -> str:
    return "" if words == "nan" else escape(words)
