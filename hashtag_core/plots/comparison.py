"""The page of a reproduction: each table of ours with the paper's numbers beside it.

One HTML file with everything in it, without a script; it follows the reader's light or dark theme.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hashtag_core.plots.html_views import html_text

if TYPE_CHECKING:
    import pandas as pd

END = "<!-- hashtag-core reproduce -->\n"
STYLE = """
:root { color-scheme: light dark; --text: #222; --page: #fff; --line: #ccc; --quiet: #595959 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8e8; --page: #1b1b1b; --line: #555; --quiet: #b0b0b0 }
}
body { font: 16px/1.5 sans-serif; color: var(--text); background: var(--page);
  max-width: 60em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: 3px 10px; border-bottom: 1px solid var(--line); text-align: right }
th:first-child, td:first-child, th.text, td.text { text-align: left }
td .paper { color: var(--quiet) }
img { max-width: 100%; background: white }
caption, .quiet { color: var(--quiet); text-align: left }
"""


def reproduction_page(
    title: str,
    about: Sequence[str],
    differences: Sequence[str],
    facts: Sequence[tuple[str, str, str]],
    tables: Mapping[str, pd.DataFrame],
    notes: Mapping[str, Sequence[str]],
    figures: Mapping[str, bytes],
) -> str:
    """The whole page.

    Args:
        title: its heading.
        about: what was used: files, versions, device; a line each.
        differences: in what ours is not the paper's, a sentence each.
        facts: (what, ours, the paper's) of the data.
        tables: heading -> a table with columns "… paper", as `study.tables` makes them.
        notes: heading of a table -> what has to be known of it, a line each.
        figures: heading -> a PNG.
    """
    parts = [f"<h1>{html_text(title)}</h1>", *(f"<p>{html_text(line)}</p>" for line in about)]
    parts += ["<h2>In what it differs from the paper</h2>", "<ul>"]
    parts += [f"<li>{html_text(line)}</li>" for line in differences]
    parts.append("</ul>")
    if facts:
        parts += ["<h2>The data</h2>", _rows(("", "ours", "the paper's"), facts)]
    for heading, table in tables.items():
        parts += [f"<h2>{html_text(heading)}</h2>", comparison(table)]
        parts += [f"<p>{html_text(line)}</p>" for line in notes.get(heading, ())]
    for heading, png in figures.items():
        source = "data:image/png;base64," + base64.b64encode(png).decode()
        name = html_text(heading)
        parts += [f"<h2>{name}</h2>", f'<img src="{source}" alt="{name}">']
    head = f'<meta charset="utf-8"><title>{html_text(title)}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n{END}'
    )


def comparison(table: pd.DataFrame) -> str:
    """A table as HTML: in each cell our mean (± deviation), the paper's number, the difference."""
    metrics = [name.removesuffix(" paper") for name in table if name.endswith(" paper")]
    metrics = metrics or [name for name in table if "@" in name and "std" not in name]
    texts = [name for name in ("vocabulary", "candidates", "model", "d_u") if name in table]
    rows = []
    for row in table.to_dict("records"):
        cells = [_text(row[name]) for name in texts]
        rows.append((*cells, *(_cell(row, metric) for metric in metrics)))
    note = "" if not any(name.endswith(" paper") for name in table) else NOTE
    return _rows((*texts, *metrics), rows, len(texts)) + note


NOTE = '<p class="quiet">In brackets the paper\'s number, and how far ours is from it.</p>'


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class _Html(str):
    """A cell that is HTML already."""


def _cell(row: Mapping[str, float], metric: str) -> str:
    ours, spread, paper = (row.get(f"{metric}{end}") for end in ("", " std", " paper"))
    if ours is None or ours != ours:
        return "–"
    digits = 0 if metric == "dim" else 1
    text = f"{ours:.{digits}f}"
    text += f" ± {spread:.1f}" if spread is not None and spread == spread else ""
    if paper is None or paper != paper:
        return text
    return _Html(f'{text} <span class="paper">({paper:g}, {ours - paper:+.{digits}f})</span>')


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        parts = []
        for n, cell in enumerate(cells):
            start = f'<{tag} class="text">' if n < texts else f"<{tag}>"
            inner = cell if isinstance(cell, _Html) else html_text(cell)
            parts.append(f"{start}{inner}</{tag}>")
        return f"<tr>{''.join(parts)}</tr>"

    return (
        "<table>" + "\n".join([line("th", head), *(line("td", row) for row in rows)]) + "</table>"
    )
