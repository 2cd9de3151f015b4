"""What packet rules there should be, in parts that come and go one by one, and what has to be told the kernel when they do.

A `Part` is what one owner (a Service, a pod, a policy) contributes: chains, sets, and elements of sets that may belong to others. Two
owners may claim one key of a map: the older claim holds until it is given up. Pure; `plane` makes parts and `netfilter` sends `changes`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from . import nftables as nft

T = TypeVar("T")

Value = bytes | str | None
"""Of an element: nothing, data, or the name of a chain to visit."""
Element = tuple[str, bytes]
"""The name of a set and a key."""


class Chain(NamedTuple):
    """Rules in order; with a `hook` (type, place, priority) packets come to it by themselves."""

    rules: tuple[bytes, ...]
    hook: tuple[str, int, int] | None = None


class Set(NamedTuple):
    """Keys of so many bytes; with `data` (bytes, or VERDICTS) a map."""

    key: int
    data: int | None = None
    flags: int = 0


class Part(NamedTuple):
    """What one owner contributes."""

    chains: Mapping[str, Chain] = {}
    sets: Mapping[str, Set] = {}
    elements: Mapping[Element, Value] = {}


_NOTHING = Part()
_AT_ONCE = 500


class Table:
    """All parts, and which of it the kernel does not know yet."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._claims: dict[Element, dict[str, Value]] = {}
        self._before: dict[str, Part] = {}
        """Of the owners that changed: what the kernel knows."""
        self._touched: dict[Element, Value | bool] = {}
        """Of the elements that may have changed: the value that the kernel knows; False for none."""

    def put(self, owner: str, part: Part) -> None:
        """The owner's contribution is this from now on."""
        old = self._parts.get(owner, _NOTHING)
        if part == old:
            return
        self._before.setdefault(owner, old)
        for element in old.elements.keys() - part.elements.keys():
            self._claim(element).pop(owner)
        for element, value in part.elements.items():
            if element not in old.elements or old.elements[element] != value:
                self._claim(element)[owner] = value
        if part == _NOTHING:
            self._parts.pop(owner, None)
        else:
            self._parts[owner] = part

    def drop(self, owner: str) -> None:
        self.put(owner, _NOTHING)

    def owners(self) -> Iterable[str]:
        return self._parts.keys()

    def part(self, owner: str) -> Part:
        return self._parts.get(owner, _NOTHING)

    def _claim(self, element: Element) -> dict[str, Value]:
        claims = self._claims.setdefault(element, {})
        if element not in self._touched:
            self._touched[element] = next(iter(claims.values()), False)
        return claims

    def everything(self) -> list[bytes]:
        """Messages that replace whatever the kernel has by what there should be."""
        self._before = dict.fromkeys(self._parts, _NOTHING)
        self._touched = dict.fromkeys(self._claims, False)
        return [nft.table(nft.NEW_TABLE), nft.table(nft.DELETE_TABLE), nft.table(nft.NEW_TABLE), *self.changes()]

    def changes(self) -> list[bytes]:
        """Messages for what changed since the last call, in an order that leaves nothing pointing to what is not there."""
        before = list(self._before.values())
        after = [self.part(owner) for owner in self._before]
        old_sets, new_sets = _merged(p.sets for p in before), _merged(p.sets for p in after)
        old_chains, new_chains = _merged(p.chains for p in before), _merged(p.chains for p in after)
        gone_sets = [name for name, made in old_sets.items() if new_sets.get(name) != made]
        gone_chains = [name for name in old_chains if name not in new_chains]
        removed, added = self._element_changes(set(gone_sets))
        messages = [nft.chain(nft.NEW_CHAIN, name, chain.hook) for name, chain in new_chains.items() if name not in old_chains]
        changed = [(name, chain) for name, chain in new_chains.items() if old_chains.get(name) != chain]
        # Sets are made anew when their shape changes: rules let go of the old ones first.
        messages += [nft.flush(name) for name, _ in changed if name in old_chains] + [nft.flush(name) for name in gone_chains]
        messages += removed
        messages += [nft.delete_set(name) for name in gone_sets]
        fresh = [(name, made) for name, made in new_sets.items() if old_sets.get(name) != made]
        messages += [nft.new_set(name, *made, identity=n) for n, (name, made) in enumerate(fresh, 1)]
        messages += [nft.rule(name, rule) for name, chain in changed for rule in chain.rules]
        messages += added
        messages += [nft.chain(nft.DELETE_CHAIN, name) for name in gone_chains]
        self._before, self._touched = {}, {}
        return messages

    def _element_changes(self, gone: set[str]) -> tuple[list[bytes], list[bytes]]:
        removed: dict[str, list[bytes]] = {}
        added: dict[str, list[bytes]] = {}
        for element, old in self._touched.items():
            name, key = element
            claims = self._claims[element]
            if not claims:
                del self._claims[element]
            new = next(iter(claims.values()), False)
            if old == new and type(old) is type(new):
                continue
            if old is not False and name not in gone:
                removed.setdefault(name, []).append(nft.element(key, None))
            if new is not False:
                added.setdefault(name, []).append(nft.element(key, new))  # type: ignore[arg-type]  # False is handled
        return _messages(nft.DELETE_ELEMENTS, removed), _messages(nft.NEW_ELEMENTS, added)


def _messages(kind: int, by_set: Mapping[str, list[bytes]]) -> list[bytes]:
    parts = ((name, found[i : i + _AT_ONCE]) for name, found in by_set.items() for i in range(0, len(found), _AT_ONCE))
    return [nft.elements(kind, name, part) for name, part in parts]


def _merged(maps: Iterable[Mapping[str, T]]) -> dict[str, T]:
    return {name: value for found in maps for name, value in found.items()}
