"""What all operations share: the store, the catalogue, clock and randomness, and the one place where a write meets the store.

Made by `server.Server`, handed to every operation module. Knows no verb.
"""

import random as randomness
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lightship.aio.clock import Clock
from lightship.meta import errors
from lightship.meta.rest import NodeConnection
from lightship.store import Delete, Op, Record, Store, StoreError
from lightship.store.records import bucket_of

from .access.authn import Authenticator
from .access.authz import Authorizer
from .catalogue import Catalogue
from .requests import TokenIssuer
from .transport.outbound import Outbound

Committed: TypeAlias = Callable[[Record, bool], Awaitable[None]]
"""Called after a write to a bucket is durable: (record, was it a deletion)."""

_SETTLE_SECONDS = 1.0
"""How often a reader that waits for a write asks whether the write has failed."""
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(slots=True)
class Core:
    store: Store
    catalogue: Catalogue
    clock: Clock
    random: randomness.Random
    nodes: Callable[[str], NodeConnection | None]
    outbound: Outbound
    """Calls to webhooks."""
    authorizer: Authorizer
    """For rules that ask what else a user may do; requests themselves are judged by the fronts."""
    authenticator: Authenticator
    """For reviews of tokens."""
    tokens: TokenIssuer | None = None
    bookmark_every: float = 60.0
    """Seconds between two bookmarks of a watch."""
    committed: dict[str, Committed] = field(default_factory=dict)
    """Observers by bucket; the writer waits for them, so that what they do has happened when the client gets its answer."""

    def uid(self) -> str:
        """A random UUID (version 4)."""
        bits = self.random.getrandbits(128) & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x4000 << 64 | 0x8000 << 48
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def suffix(self, length: int) -> str:
        """Random letters for generated names; no vowels, so that no words appear."""
        return "".join(self.random.choices(_SUFFIX_LETTERS, k=length))

    async def settled(self, record: Record) -> None:
        """Wait until a record that may be in flight is durable, or has failed to become so."""
        watch = None
        try:
            while self.store.revision < record.revision and self.store.head(record.key) is record:
                watch = watch or self.store.watch(record.key, self.store.revision)
                await watch.ready(_SETTLE_SECONDS)
        finally:
            if watch:
                watch.close()

    async def absent(self, key: str) -> bool:
        """Is there nothing under a key? Waits for a deletion in flight: who is told that there is nothing must not be shown it."""
        watch = None
        try:
            while self.store.head(key) is None and self.store.get(key) is not None:
                watch = watch or self.store.watch(key, self.store.revision)
                await watch.ready(_SETTLE_SECONDS)
        finally:
            if watch:
                watch.close()
        return self.store.head(key) is None

    async def commit(self, bucket: str, op: Op, also: Sequence[Op] = (), *, deleted: bool = False, first: Sequence[Op] = ()) -> Record:
        """Write one op durably, together with what else must be written or not with it, and tell the buckets' observers.

        `first` are earlier states of the same object, which only watchers see.
        Raises `RevisionMismatch` (whose `key` tells which op's precondition failed), and 500 when the medium fails.
        """
        try:
            record, *others = (await self.store.commit(*first, op, *also))[len(first) :]
        except StoreError as error:
            raise errors.internal(str(error)) from error
        observer = self.committed.get(bucket)
        if observer is not None:
            await observer(record, deleted)
        for other, written in zip(also, others, strict=True):
            observer = self.committed.get(bucket_of(other.key))
            if observer is not None:
                await observer(written, isinstance(other, Delete))
        return record
