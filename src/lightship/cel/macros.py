"""Macros: calls that are rewritten into other expressions before types are checked."""

from __future__ import annotations

from typing import NoReturn, Protocol

from lightship.cel.ast import Expr


class Expander(Protocol):
    """What a macro may ask of the parser."""

    def fail(self, expr: Expr, message: str) -> NoReturn:
        """Complain about a place; the call is not expanded."""
