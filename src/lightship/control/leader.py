"""Leader election: of several managers for one job, one works and the others wait for its Lease to run out.

The manager acquires before its workers start, holds while they run, and releases after they stopped. Who may take the Lease and what
to write into it is decided by `decide`, which is pure. Times in the Lease are never compared with our clock: another machine wrote
them. Only how long the Lease has not changed *here* counts.
Contract: coordination.k8s.io/v1 Lease; client-go tools/leaderelection (15 s lease, 10 s to renew, every 2 s).
"""

import logging
from random import Random
from typing import NamedTuple

import msgspec

from lightship.aio.backoff import jitter
from lightship.aio.clock import Clock
from lightship.client.client import Client
from lightship.kinds import LEASES
from lightship.meta import objects, times
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj

log = logging.getLogger(__name__)


class LeadershipLost(Exception):  # noqa: N818  reads as what happened
    """The Lease could not be renewed in time: somebody else may be working now, so we must not."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How long things take, in seconds. A leader gives up well before others may follow it."""

    lease: float = 15.0
    renew_within: float = 10.0
    retry: float = 2.0


class Seen(NamedTuple):
    """A Lease's spec and when (on our monotonic clock) we first saw it like that."""

    spec: Obj
    since: float


class Instant(NamedTuple):
    """Now, on both clocks: `wall` is written into Leases, `monotonic` is compared."""

    wall: float
    monotonic: float


class Step(NamedTuple):
    """What to do: write `spec` (to a new Lease or over the one seen), or wait when None; and what we know now."""

    spec: Obj | None
    seen: Seen | None


def decide(lease: Obj | None, seen: Seen | None, identity: str, now: Instant, terms: Terms) -> Step:
    """(the Lease, what we saw of it before) → whether it is ours to take or renew, and what to write."""
    if lease is None:
        return Step(_spec(identity, terms, now, acquired=times.rfc3339_micro(now.wall), transitions=0), None)
    spec = objects.spec(lease)
    if seen is None or seen.spec != spec:
        seen = Seen(spec, now.monotonic)
    holder = spec.get("holderIdentity") or ""
    if holder == identity:
        acquired = spec.get("acquireTime") or times.rfc3339_micro(now.wall)
        return Step(_spec(identity, terms, now, acquired=acquired, transitions=spec.get("leaseTransitions") or 0), seen)
    duration = spec.get("leaseDurationSeconds") or terms.lease
    if holder and now.monotonic < seen.since + duration:
        return Step(None, seen)
    transitions = (spec.get("leaseTransitions") or 0) + 1
    return Step(_spec(identity, terms, now, acquired=times.rfc3339_micro(now.wall), transitions=transitions), seen)


def _spec(identity: str, terms: Terms, now: Instant, *, acquired: str, transitions: int) -> Obj:
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": max(1, round(terms.lease)),
        "acquireTime": acquired,
        "renewTime": times.rfc3339_micro(now.wall),
        "leaseTransitions": transitions,
    }


class Election:
    """One candidate for the Lease `namespace/name`; `identity` must differ between candidates."""

    def __init__(
        self, client: Client, name: str, namespace: str, identity: str, *, clock: Clock, random: Random, terms: Terms | None = None
    ) -> None:
        self.identity = identity
        self.leading = False
        self._client = client
        self._name = name
        self._namespace = namespace
        self._clock = clock
        self._random = random
        self._terms = terms or Terms()
        self._seen: Seen | None = None

    async def acquire(self) -> None:
        """Return when we lead, however long that takes."""
        while not await self._try():
            await self._clock.sleep(jitter(self._terms.retry, 1.2, self._random))
        log.info("leading lease=%s/%s identity=%s", self._namespace, self._name, self.identity)

    async def hold(self) -> None:
        """Renew until cancelled. Raises `LeadershipLost` when that did not succeed for too long."""
        renewed = self._clock.monotonic()
        while self._clock.monotonic() - renewed < self._terms.renew_within:
            await self._clock.sleep(self._terms.retry)
            started = self._clock.monotonic()
            if await self._try():
                renewed = started
        self.leading = False
        raise LeadershipLost(f"lease {self._namespace}/{self._name} was not renewed within {self._terms.renew_within:g} s")

    async def release(self) -> None:
        """Give the Lease back, so that the next leader need not wait for it to run out. Never raises `StatusError`."""
        if not self.leading:
            return
        self.leading = False
        try:
            # Read again: a renewal that was cancelled on its way may have taken effect.
            lease = await self._client.get(LEASES, self._name, self._namespace)
            spec = objects.spec(lease)
            if spec.get("holderIdentity") == self.identity:
                await self._client.update(LEASES, {**lease, "spec": {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}})
        except StatusError as error:
            log.info("lease not released lease=%s/%s error=%s", self._namespace, self._name, error)

    async def _try(self) -> bool:
        """Take or renew the Lease if we may; whether it is ours now."""
        try:
            lease = await self._client.get_or_none(LEASES, self._name, self._namespace)
            now = Instant(self._clock.now(), self._clock.monotonic())
            step = decide(lease, self._seen, self.identity, now, self._terms)
            self._seen = step.seen
            if step.spec is None:
                self.leading = False
                return False
            await self._write(lease, step.spec)
        except StatusError as error:
            level = logging.DEBUG if error.code == 409 else logging.WARNING
            log.log(level, "lease not written lease=%s/%s error=%s", self._namespace, self._name, error)
            return False
        self.leading = True
        return True

    async def _write(self, lease: Obj | None, spec: Obj) -> None:
        if lease is None:
            metadata = {"name": self._name, "namespace": self._namespace}
            await self._client.create(LEASES, {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec})
        else:
            # With the resourceVersion that we read: of two candidates that saw the same stale Lease only one gets it.
            await self._client.update(LEASES, {**lease, "spec": spec})
