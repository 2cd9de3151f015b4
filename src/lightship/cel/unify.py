"""Whether one type may stand where another is wanted, and what type parameters become on the way.

Called by `checker.py` only. A `Bindings` is a set of decisions; trying a call makes a copy that is kept only where the call fits. The rules
are those of cel-go's checker: `dyn` fits everything, null fits objects, durations, timestamps and library types, all else must agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from lightship.cel.types import DYN, Kind, ListType, MapType, Opaque, OptionalType, Type, TypeOf

Bindings = dict[str, Type]

_TAKES_NULL = frozenset({Kind.OPAQUE, Kind.OBJECT, Kind.DURATION, Kind.TIMESTAMP, Kind.NULL})
_CONTAINERS = frozenset({Kind.OPAQUE, Kind.LIST, Kind.MAP})


def fits(bound: Bindings, first: Type, second: Type) -> Bindings | None:
    """The bindings with which the two agree, None where there are none."""
    if first is second and not has_params(first):
        return bound
    tried = dict(bound)
    return tried if _fits(tried, first, second) else None


def all_fit(bound: Bindings, firsts: Sequence[Type], seconds: Sequence[Type]) -> Bindings | None:
    if len(firsts) != len(seconds):
        return None
    tried = dict(bound)
    return tried if all(map(_fits, [tried] * len(firsts), firsts, seconds)) else None


def has_params(t: Type) -> bool:
    return t.kind is Kind.PARAM or any(map(has_params, t.parameters))


def _fits(bound: Bindings, a: Type, b: Type) -> bool:
    if b.kind is Kind.PARAM:
        valid, known = _substitutes(bound, a, b)
        if valid or known:
            return valid
    if a.kind is Kind.PARAM:
        return _substitutes(bound, b, a)[0]
    if _is_open(a) or _is_open(b):
        return True
    if a.kind is Kind.NULL:
        return b.kind in _TAKES_NULL or b.nullable
    if b.kind is Kind.NULL:
        return a.kind in _TAKES_NULL or a.nullable
    if a.kind is not b.kind:
        return False
    if a.kind is Kind.TYPE:
        return True
    if a.kind in _CONTAINERS:
        same = a.name == b.name and len(a.parameters) == len(b.parameters)
        return same and all(_fits(bound, p, q) for p, q in zip(a.parameters, b.parameters, strict=True))
    return a.name == b.name


def _is_open(t: Type) -> bool:
    return t.kind is Kind.DYN or t.kind is Kind.ERROR


def _substitutes(bound: Bindings, t: Type, param: Type) -> tuple[bool, bool]:
    """Whether `param` may be `t`, and whether it was bound before."""
    if t == param:
        return True, True
    known = bound.get(param.name)
    if known is not None:
        if t == known:
            return True, True
        if _fits(bound, t, known):
            wider = most_general(t, known)
            if _free_of(bound, param, wider):
                bound[param.name] = wider
            return True, True
        return False, True
    if _free_of(bound, param, t):
        bound[param.name] = t
        return True, False
    return False, False


def _free_of(bound: Bindings, param: Type, within: Type) -> bool:
    """Whether a parameter does not occur in a type: nothing contains itself."""
    if within == param:
        return False
    if within.kind is Kind.PARAM:
        known = bound.get(within.name)
        return known is None or _free_of(bound, param, known)
    return all(_free_of(bound, param, inner) for inner in within.parameters)


def most_general(a: Type, b: Type) -> Type:
    return a if _at_most_as_specific(a, b) else b


def _at_most_as_specific(a: Type, b: Type) -> bool:
    if a.is_dynamic:
        return True
    if b.is_dynamic or a.kind is not b.kind:
        return False
    if a.kind in _CONTAINERS:
        if a.name != b.name or len(a.parameters) != len(b.parameters):
            return False
        return all(map(_at_most_as_specific, a.parameters, b.parameters))
    return a.kind is Kind.TYPE or a == b


def substitute(bound: Bindings, t: Type, *, close: bool = False) -> Type:
    """The type with its bound parameters filled in; with `close`, those that stay free become dyn.

    A type without parameters comes back as it is: it may carry a bound and a way to adapt values, which a copy would lose.
    """
    if t.kind is Kind.PARAM:
        known = bound.get(t.name)
        if known is not None:
            return substitute(bound, known, close=close)
        return DYN if close else t
    if not t.parameters or not has_params(t):
        return t
    inner = tuple(substitute(bound, p, close=close) for p in t.parameters)
    match t.kind:
        case Kind.LIST:
            return ListType(inner[0])
        case Kind.MAP:
            return MapType(inner[0], inner[1])
        case Kind.TYPE:
            return TypeOf(inner[0])
        case _ if t.name == "optional_type":
            return OptionalType(inner[0])
    return Opaque(t.name, *inner)
