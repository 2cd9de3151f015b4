"""The values a store deals in: records, events, the two kinds of write, and a page of a list.

Records and events are made once and shared by every reader and watcher, so they are never changed after a write is visible. Values are
JSON bytes that already contain their own resourceVersion; they are decoded only for readers that ask for `.obj`, and once they are no news
kept packed.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from lightship.meta import codec
from lightship.meta.objects import Key, Obj

from .packing import Form, Packer
from .readers import Readers

ADDED: Literal["ADDED"] = "ADDED"
MODIFIED: Literal["MODIFIED"] = "MODIFIED"
DELETED: Literal["DELETED"] = "DELETED"
Change: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]


_readers = Readers()


class Record:
    """One object at one revision; `size` is how many bytes its value has."""

    __slots__ = ("_form", "_is_kept", "_is_read", "_obj", "_value", "key", "revision", "size")

    def __init__(self, key: str, value: bytes, revision: int, obj: Obj | None = None) -> None:
        self.key = key
        self.revision = revision
        self.size = len(value)
        self._value = value
        self._form: Form | None = None
        self._obj = obj
        self._is_read = False
        self._is_kept = False

    @property
    def value(self) -> bytes:
        """The object as JSON."""
        return self._value if self._form is None else self._form.unpack(self._value)

    def where(self) -> Key:
        """Namespace and name of the object."""
        return Key(*self.key.rsplit("/", 2)[1:])

    @property
    def obj(self) -> Obj:
        """The decoded value, shared by all readers: never mutate it. What had to be decoded for this stays so for a while: see `glance`."""
        self._is_read = True
        found = self._obj
        if found is None:
            found = self._obj = codec.decode(self.value)
            if not self._is_kept:
                self._is_kept = True
                _readers.keep(self)
        return found

    @property
    def decoded(self) -> Obj | None:
        """The decoded value if it is at hand: for readers who can do without."""
        return self._obj

    def glance(self) -> Obj:
        """The decoded value for a reader who looks at it once, as at many others: nothing stays decoded on his account."""
        return self._obj or codec.decode(self.value)

    def cool(self, packer: Packer, *, superseded: bool = False) -> None:
        """Keep only the bytes, packed, unless this is current and somebody had it decoded, who may come back."""
        if superseded or not self._is_kept:
            self._obj = None
        if self._form is None:
            packed = packer.pack(self._value)
            if packed is not None:
                self._form, self._value = packed

    def forget(self) -> bool:
        """For `Readers`: let the decoded value go, unless somebody has read it since the last time."""
        if self._is_read and self._obj is not None:
            self._is_read = False
            return False
        self._obj = None
        self._is_kept = False
        return True

    def __repr__(self) -> str:
        return f"<{self.key} at {self.revision}>"


class Event:
    """One change of one key. For a deletion `record` carries the last state of the object under the revision of its deletion."""

    __slots__ = ("_wire", "previous", "record", "revision", "type")

    def __init__(self, type: Change, record: Record, previous: Record | None) -> None:
        self.type: Change = type
        self.record = record
        self.previous = previous
        self.revision = record.revision
        self._wire: bytes | None = None

    @property
    def wire(self) -> bytes:
        """The line that a watch stream sends: built for the first watcher, shared with all others."""
        found = self._wire
        if found is None:
            found = self._wire = b'{"type":"%b","object":%b}\n' % (self.type.encode(), self.record.value)
        return found

    def cool(self, packer: Packer) -> None:
        """Drop what can be made again, now that nobody is likely to ask soon."""
        self._wire = None
        self.record.cool(packer, superseded=self.type == DELETED)
        if self.previous is not None:
            self.previous.cool(packer, superseded=True)

    def __repr__(self) -> str:
        return f"<{self.type} {self.record.key} at {self.revision}>"


class Put(NamedTuple):
    """Create or replace `key`.

    `encode(revision)` gives the bytes to keep; it is called once, synchronously, when the write takes its revision. `expect` is 0 when the
    key must not exist, n when its head must be at n, None for whatever. `obj`, if given, is what `encode` writes, so that the first reader
    need not decode it; it belongs to the store from then on.
    """

    key: str
    encode: Callable[[int], bytes]
    expect: int | None = None
    obj: Obj | None = None


class Delete(NamedTuple):
    """Remove `key`, which must exist. `encode(revision)` gives the object of the DELETED event; `expect` and `obj` as in `Put`."""

    key: str
    encode: Callable[[int], bytes]
    expect: int | None = None
    obj: Obj | None = None


Op: TypeAlias = Put | Delete


class Row(NamedTuple):
    """One write as a journal keeps it."""

    revision: int
    key: str
    value: bytes
    deleted: bool


class Page(NamedTuple):
    """Part of a sorted list: `remaining` more follow after the key `next` (empty on the last page), all as of `revision`."""

    records: Sequence[Record]
    revision: int
    remaining: int
    next: str


def bucket_of(key: str) -> str:
    """The first two steps of a key or prefix, its bucket: `core/pods` of `core/pods/default/a`. Raises `ValueError` when it has none."""
    first = key.find("/")
    second = key.find("/", first + 1)
    if first < 0 or second < 0:
        raise ValueError(f'"{key}" names no bucket: keys are <group>/<plural>/<namespace>/<name>')
    return key[:second]
