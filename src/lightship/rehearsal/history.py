"""Everything that happened in a rehearsal: one line of JSON for each change of each object, and the fingerprint of all lines.

The store tells it of every change, in order. Two rehearsals with the same fingerprint were the same, byte for byte.
"""

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from lightship.aio.clock import Clock
from lightship.meta import times
from lightship.store import Event
from lightship.store.records import bucket_of

from .ledger import BUCKETS, Ledger


class History:
    """`file` gets the lines, if there is one. Times in the ledger count from `start`."""

    def __init__(self, clock: Clock, start: float, ledger: Ledger, file: BinaryIO | None = None) -> None:
        self.changes = 0
        self._clock = clock
        self._start = start
        self._ledger = ledger
        self._write: Callable[[bytes], object] | None = file.write if file is not None else None
        self._sum = hashlib.sha256()
        self._now = -1.0
        self._stamp = b""
        self._over = False

    def tell(self, event: Event) -> None:
        """A `store` change."""
        if self._over:
            return
        now = self._clock.now()
        if now != self._now:
            self._now, self._stamp = now, times.rfc3339_micro(now).encode()
        self.changes += 1
        record = event.record
        line = b'{"at":"%b","type":"%b","object":%b}\n' % (self._stamp, event.type.encode(), record.value)
        self._sum.update(line)
        if self._write is not None:
            self._write(line)
        bucket = bucket_of(record.key)
        if bucket in BUCKETS:
            self._ledger.note(event.type, bucket, record.glance(), now - self._start)

    def end(self) -> None:
        """What is written from now on, such as events that controllers still had in hand when they were stopped, is no part of it."""
        self._over = True

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all lines so far."""
        return self._sum.hexdigest()
