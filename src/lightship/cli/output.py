"""How commands print: quiet tables for people, JSON and YAML for programs.

Called by every command. Tables have no borders and line up by the widest cell, as kubectl's do; an empty list says what would fill it.
Refuses to know what the objects are: columns and cells come from the server's Table or from the caller.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import msgspec
import yaml

GAP = "   "


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], widths: Sequence[int] = ()) -> str:
    """Lay cells out under upper-case headings; the last column is not padded. `widths` are the least that columns take."""
    grid = [[c.upper() for c in columns], *([_cell(c) for c in row] for row in rows)]
    least = widths or [0] * len(columns)
    widths = [max(least[i], *(len(row[i]) for row in grid)) for i in range(len(columns))]
    return "\n".join(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in grid)


def _cell(value: Any) -> str:
    if value is None:
        return "<none>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def column_widths(heading: str) -> list[int]:
    """How wide the columns of a printed table are, read off its heading."""
    starts = [match.start() for match in re.finditer(r"(?:(?<=   )|^)\S", heading)]
    ends = [*(start - len(GAP) for start in starts[1:]), len(heading)]
    return [end - start for start, end in zip(starts, ends, strict=True)]


def server_table(body: dict[str, Any], *, wide: bool = False, namespaces: bool = False, widths: Sequence[int] = ()) -> str:
    """A `meta.k8s.io/v1 Table` as text; `wide` shows the columns of low priority too, `namespaces` puts the namespace first."""
    shown = [i for i, c in enumerate(body.get("columnDefinitions") or []) if wide or not c.get("priority")]
    columns = [body["columnDefinitions"][i]["name"] for i in shown]
    rows = [[row["cells"][i] for i in shown] for row in body.get("rows") or []]
    if namespaces:
        columns = ["Namespace", *columns]
        names = [(row.get("object") or {}).get("metadata", {}).get("namespace", "") for row in body.get("rows") or []]
        rows = [[name, *row] for name, row in zip(names, rows, strict=True)]
    return table(columns, rows, widths)


def render(value: Any, format: str) -> str:
    """JSON (indented) or YAML text of a value."""
    if format == "yaml":
        return yaml.safe_dump(value, sort_keys=False, default_flow_style=False, allow_unicode=True).rstrip()
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def say(text: str = "", *, to: TextIO | None = None) -> None:
    """Print one line; a reader that went away (`| head`) ends us quietly in `__main__`."""
    print(text, file=to or sys.stdout, flush=True)
