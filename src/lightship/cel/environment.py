"""What an expression may name: variables, functions, macros, types. Made once per set of libraries, extended per expression.

Called by `program.py`. Libraries are laid out here so that the parser finds macros, and the checker functions, by one look-up each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from lightship.cel.ast import Call
from lightship.cel.functions import Library, Macro, Overload
from lightship.cel.types import ObjectType, Type


@dataclass(frozen=True)
class Functions:
    """Everything that a set of libraries offers, by name. Overloads stand in the order of their declaration."""

    overloads: Mapping[str, tuple[Overload, ...]]
    macros: Mapping[tuple[str, int | None, bool], Macro]
    constants: Mapping[str, Type]
    judges: tuple[Callable[[Call], Iterable[tuple[int, str]]], ...]
    mixed: frozenset[str]


@lru_cache(maxsize=32)
def functions(libraries: tuple[Library, ...]) -> Functions:
    overloads: dict[str, dict[object, Overload]] = {}
    macros: dict[tuple[str, int | None, bool], Macro] = {}
    constants: dict[str, Type] = {}
    for library in libraries:
        for overload in library.overloads:
            # A second declaration of an overload (two libraries that both bring `indexOf`, say) takes the place of the first.
            overloads.setdefault(overload.name, {})[overload.id or overload] = overload
        macros.update({(macro.name, macro.arity, macro.member): macro for macro in library.macros})
        constants.update(library.constants)
    judges = tuple(judge for library in libraries for judge in library.judges)
    mixed = frozenset(name for library in libraries for name in library.mixed)
    return Functions({name: tuple(found.values()) for name, found in overloads.items()}, macros, constants, judges, mixed)


@dataclass(frozen=True)
class Environment:
    """What one expression may name. `objects`: the types that may be made by literals (`Object.spec{...}`), by name."""

    variables: Mapping[str, Type]
    offers: Functions
    objects: Mapping[str, ObjectType] = field(default_factory=dict)
    homogeneous: bool = True

    @classmethod
    def of(
        cls, variables: Mapping[str, Type], libraries: Sequence[Library], objects: Mapping[str, ObjectType], *, homogeneous: bool
    ) -> Environment:
        return cls(variables, functions(tuple(libraries)), objects, homogeneous)
