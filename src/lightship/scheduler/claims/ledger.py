"""Which claim holds which devices, kept up to date change by change, and what we wrote ourselves before the cache shows it.

Fed by the informer of claims (`note`) and by whoever writes one (`wrote`). Holds allocations only: what claims are otherwise is read
from the cache when it is needed.
"""

from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler.claims.taken import Taken


class Ledger:
    def __init__(self) -> None:
        self.taken = Taken()
        self._counted: dict[Key, Obj] = {}
        self._ahead: dict[Key, Obj] = {}
        """What we wrote and the cache does not show yet."""

    def note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """A claim has changed: see `Informer.on_change`."""
        ours = self._ahead.get(key)
        if ours is not None and new is not None and objects.revision(new) < objects.revision(ours):
            return
        self._ahead.pop(key, None)
        self._count(key, new)

    def wrote(self, claim: Obj, cached: Obj | None) -> None:
        """The server's answer to a write, or to a question: it counts until the cache shows it, or something newer than it."""
        key = objects.key(claim)
        newest = self._ahead.get(key) or cached
        if newest is not None and objects.uid(newest) == objects.uid(claim) and objects.revision(newest) >= objects.revision(claim):
            return
        self._ahead[key] = claim
        self._count(key, claim)

    def newest(self, key: Key, cached: Obj | None) -> Obj | None:
        """The claim as far as we know it."""
        return self._ahead.get(key) or cached

    def _count(self, key: Key, claim: Obj | None) -> None:
        before, now = self._counted.get(key), objects.status(claim).get("allocation") if claim is not None else None
        if before is now or before == now:
            return
        if before is not None:
            self.taken.add(before, -1)
            del self._counted[key]
        if now is not None:
            self.taken.add(now)
            self._counted[key] = now
