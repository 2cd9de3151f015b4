"""Objects that somebody keeps as bytes and decodes for whoever looks.

An API server in the same process hands them to its clients in the place of decoded objects, so that a cache of them takes no memory of its
own. `Objects` is a list of such and of plain ones that looks like a list of plain ones. `apiserver.local` makes them, `client` keeps them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from .objects import Key, Obj, key


class Stored(Protocol):
    """One object at one resourceVersion, `revision`. What it gives is shared: never mutate it."""

    @property
    def revision(self) -> int: ...

    def where(self) -> Key:
        """Its namespace and name, without a look at it."""
        ...

    @property
    def obj(self) -> Obj:
        """The object, for those who come back for it: it stays decoded for a while."""
        ...

    def glance(self) -> Obj:
        """The object, for one look among many."""
        ...


Held: TypeAlias = Obj | Stored
"""Either the object itself or somebody who has it."""


class Objects(Sequence[Obj]):
    """Objects that are decoded one by one as somebody goes through them."""

    def __init__(self, held: Sequence[Held]) -> None:
        self.held = held

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[Obj]:
        return map(glance, self.held)

    def __getitem__(self, place: Any) -> Any:
        return Objects(self.held[place]) if isinstance(place, slice) else glance(self.held[place])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as lists have none

    def __repr__(self) -> str:
        return repr(list(self))


def held_of(items: Sequence[Obj]) -> Sequence[Held]:
    """What there is of a list without decoding any of it."""
    return items.held if isinstance(items, Objects) else items


def key_of(held: Held) -> Key:
    """Namespace and name, without a look inside if possible."""
    return key(held) if isinstance(held, dict) else held.where()


def glance(held: Held) -> Obj:
    return held if isinstance(held, dict) else held.glance()


def read(held: Held) -> Obj:
    """The object, for those who come back for it."""
    return held if isinstance(held, dict) else held.obj
