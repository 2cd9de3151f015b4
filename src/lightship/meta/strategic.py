"""Strategic merge patch: a merge patch that knows which lists merge, and by which key.

Offered through `meta.patch`; the server uses it for built-in kinds (kubectl's apply, edit and label send it). Which lists merge is told by
`x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key` in the schema. Pure: neither document nor patch is changed.
Contract: apimachinery pkg/util/strategicpatch, its directives `$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, cast

from lightship.meta.objects import Obj, copy
from lightship.meta.schema import Compiled
from lightship.meta.schema.nodes import Node, root

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
_SHOWN = 100
"""Items of a list that a refusal shows."""


def strategic_merge(doc: Obj, patch: Obj, schema: Compiled | Obj, definitions: Mapping[str, Obj] | None = None) -> Obj:
    """The document with the patch applied. `schema` is compiled, or raw together with the definitions that it refers to.

    Raises `ValueError` for directives that make no sense and for list items without their merge key.
    """
    node = schema.node if isinstance(schema, Compiled) else root(schema, definitions or {})
    merged: Obj = copy(_merge_map(doc, patch, node))
    return merged


def _merge_map(doc: Obj, patch: Obj, node: Node | None) -> Obj:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {k: v for k, v in patch.items() if k != _PATCH}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise ValueError(f'unknown patch type found: {directive!r}; "$patch" may be merge, replace or delete')
    result = dict(doc)
    _retain_keys(result, patch)
    for key in [k for k in patch if k.startswith(_DELETE)]:
        _delete_primitives(result, key.removeprefix(_DELETE), patch[key])
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(result, key, value, _child(node, key))
    for field, order in _orders(patch, node).items():
        _set_order(result, field, order, doc.get(field) or [], _child(node, field))
    return result


def _orders(patch: Obj, node: Node | None) -> dict[str, Any]:
    """The order that the patch wants for each of its merged lists: told by a directive, else that of the patch's own items."""
    found: dict[str, Any] = {}
    for key, value in patch.items():
        child = None if key.startswith("$") else _child(node, key)
        if isinstance(value, list) and "merge" in _strategies(child):
            found[key] = [i for i in value if not (isinstance(i, dict) and i.get(_PATCH))]
    for key in [k for k in patch if k.startswith(_ORDER)]:
        field, key_field = key.removeprefix(_ORDER), _merge_key(_child(node, key.removeprefix(_ORDER)))
        if isinstance(patch[key], list):
            listed = [_identity(i, key_field) for i in patch[key]]
            mine = [_identity(i, key_field) for i in found.get(field) or ()]
            own = set(map(_hashable, mine))
            if [i for i in listed if _hashable(i) in own] != mine:
                shown = f'"{field}", {mine[:_SHOWN]}, does not match its $setElementOrder list, {listed[:_SHOWN]}'
                raise ValueError(f"the order in the patch list of {shown}")
        found[field] = patch[key]
    return found


def _identity(item: Any, key: str) -> Any:
    """What tells an item of a merged list from the others."""
    return item.get(key) if key and isinstance(item, dict) else item


def _child(node: Node | None, key: str) -> Node | None:
    return None if node is None else node.field(key) or node.additional


def _merge_field(result: Obj, key: str, value: Any, node: Node | None) -> None:
    before = result.get(key)
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        replaces = "replace" in _strategies(node)
        result[key] = _merge_map(before, value, node) if isinstance(before, dict) and not replaces else _without_directives(value)
    elif isinstance(value, list) and isinstance(before, list) and "merge" in _strategies(node):
        result[key] = _merge_list(before, value, node, key)
    else:
        result[key] = _without_directives(value)


def _strategies(node: Node | None) -> list[str]:
    return str(node.raw.get("x-kubernetes-patch-strategy") or "").split(",") if node else []


def _merge_key(node: Node | None) -> str:
    return str(node.raw.get("x-kubernetes-patch-merge-key") or "") if node else ""


def _merge_list(before: list[Any], patch: list[Any], node: Node | None, field: str) -> list[Any]:
    key = _merge_key(node)
    if not key or not all(isinstance(item, dict) for item in [*before, *patch]):
        return _union(before, patch)
    if any(item.get(_PATCH) == "replace" for item in patch):
        return [_without_directives(item) for item in patch if item.get(_PATCH) != "replace" or len(item) > 1]
    result: list[Any] = list(before)
    places: dict[Any, list[int]] = {}
    for at, old in enumerate(result):
        places.setdefault(_hashable(old.get(key)), []).append(at)
    for item in patch:
        if item.get(key) is None:
            raise ValueError(f'an item of "{field}" does not contain the merge key "{key}": {item}')
        own = _hashable(item[key])
        if item.get(_PATCH) == "delete":
            for at in places.pop(own, ()):
                result[at] = None
        elif own not in places:
            places[own] = [len(result)]
            result.append(_without_directives(item))
        else:
            at = places[own][0]
            result[at] = _merge_map(result[at], item, node.items if node else None)
    return [item for item in result if item is not None]


def _union(before: Iterable[Any], patch: Iterable[Any]) -> list[Any]:
    """Lists of scalars merge as sets, in the order in which values first appear."""
    return list({_hashable(item): item for item in [*before, *patch]}.values())


def _hashable(value: Any) -> Hashable:
    """A key under which equal values, and no others, are found: lists of strangers are long, and not to be searched for every item."""
    if isinstance(value, dict):
        return (dict, frozenset((key, _hashable(each)) for key, each in value.items()))
    if isinstance(value, list):
        return (list, *map(_hashable, value))
    return (type(value), value) if isinstance(value, bool) else cast(Hashable, value)


def _retain_keys(result: Obj, patch: Obj) -> None:
    retained = patch.get(_RETAIN)
    if retained is None:
        return
    if not isinstance(retained, list):
        raise ValueError(f'"{_RETAIN}" must be a list of field names, found {retained!r}')
    kept = {k for k in retained if isinstance(k, str)}
    extra = [k for k in patch if not k.startswith("$") and patch[k] is not None and k not in kept]
    if extra:
        raise ValueError(f'"{_RETAIN}" must list all fields of its patch, {", ".join(extra)} is missing')
    for key in [k for k in result if k not in kept]:
        del result[key]


def _delete_primitives(result: Obj, field: str, values: Any) -> None:
    if not isinstance(values, list):
        raise ValueError(f'"{_DELETE}{field}" must be a list, found {values!r}')
    if isinstance(result.get(field), list):
        gone = set(map(_hashable, values))
        result[field] = [item for item in result[field] if _hashable(item) not in gone]


def _set_order(result: Obj, field: str, order: Any, before: list[Any], node: Node | None) -> None:
    """Put the items that the patch's author knows in their order; the others stay where the server had them, as far as that goes."""
    if not isinstance(order, list):
        raise ValueError(f'"{_ORDER}{field}" must be a list, found {order!r}')
    items, key = result.get(field), _merge_key(node)
    if not isinstance(items, list):
        return

    def name(item: Any) -> Hashable:
        return _hashable(_identity(item, key))

    wanted, served = _firsts(map(name, order)), _firsts(map(name, before))

    def place(item: Any) -> int:
        """Where the server had the item; -1 for new ones, which therefore stay where the patch put them."""
        return served.get(name(item), -1)

    known = sorted((i for i in items if name(i) in wanted), key=lambda i: wanted[name(i)])
    others = sorted((i for i in items if name(i) not in wanted), key=place)
    result[field] = _interleave(others, known, place)


def _firsts(names: Iterable[Hashable]) -> dict[Hashable, int]:
    """Where each name comes first."""
    found: dict[Hashable, int] = {}
    for at, name in enumerate(names):
        found.setdefault(name, at)
    return found


def _interleave(others: list[Any], known: list[Any], place: Callable[[Any], int]) -> list[Any]:
    """Each of the others goes before the first known item that it preceded on the server."""
    result: list[Any] = []
    at = 0
    for item in known:
        while at < len(others) and place(others[at]) < place(item):
            result.append(others[at])
            at += 1
        result.append(item)
    return result + others[at:]


def _without_directives(value: Any) -> Any:
    """A new value as it is stored: no directives, no nulls in objects."""
    if isinstance(value, dict):
        return {k: _without_directives(v) for k, v in value.items() if not k.startswith("$") and v is not None}
    if isinstance(value, list):
        return [_without_directives(v) for v in value if not (isinstance(v, dict) and v.get(_PATCH) == "delete")]
    return value
