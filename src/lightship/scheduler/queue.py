"""Which waiting pod is looked at next, and which not before something has changed that can help it.

A pod is *active* (to be planned now), *backing off* (was planned lately without success, something has changed since) or *parked* (nothing
has changed that its refusals depend on). `book` adds pods and reports changes, `controller` takes pods and says how they fared. Pure:
times are handed in, in seconds of a clock that never runs backwards.
Contract: kube-scheduler's queue: order, back-off from 1 to 10 s, a look at parked pods every five minutes, queueing hints by plugin.
"""

import heapq
from collections.abc import Iterable

from lightship.meta.objects import Key
from lightship.scheduler.snapshot import PodInfo

FIRST_BACKOFF, LAST_BACKOFF = 1.0, 10.0
FORGOTTEN_AFTER = 300.0
"""A parked pod is looked at again after this long, should a change have been missed."""
EAGER = 100
"""Pods that need not wait out their back-off in one go when nothing else is to be done."""

ROOM = frozenset({"resources", "ports", "disks", "volumes", "claims", "spread", "pods", "gang"})
"""Refusals that a pod which goes can resolve."""
COMPANY = frozenset({"pods", "spread"})
"""Refusals that a pod which comes can resolve."""
ANYTHING = frozenset({"node", "labels", "taints"}) | ROOM
"""Refusals that a new node can resolve."""


class _Entry:
    __slots__ = ("attempts", "failed", "pod", "ready", "refusals", "where")

    def __init__(self, pod: PodInfo) -> None:
        self.pod = pod
        self.attempts = 0
        self.failed = 0.0
        self.ready = 0.0
        self.refusals: frozenset[str] = frozenset()
        self.where = ""


class Queue:
    """All pods that wait for a node, by key."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._active: list[tuple[tuple[int, float, Key], str]] = []
        self._backing_off: list[tuple[float, Key]] = []
        self._parked: dict[str, dict[Key, None]] = {}
        """Keys by what refused them."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def add(self, pod: PodInfo) -> None:
        """A pod wants a node, or has changed in what it wants: it is active, with all that was held against it forgotten."""
        self.remove(pod.key)
        entry = self._entries[pod.key] = _Entry(pod)
        self._activate(entry)

    def renew(self, pod: PodInfo) -> None:
        """A pod has changed in nothing that matters here."""
        if (entry := self._entries.get(pod.key)) is not None:
            entry.pod = pod

    def remove(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._unpark(entry)

    def take(self, now: float, most: int) -> list[PodInfo]:
        """Up to `most` pods to be planned now, the first first. They are out of the queue's hands until `failed` or `remove`."""
        self._ripen(now)
        found: list[PodInfo] = []
        while self._active and len(found) < most:
            order, uid = heapq.heappop(self._active)
            entry = self._entries.get(order[2])
            if entry is not None and entry.where == "active" and entry.pod.uid == uid:
                entry.where = "taken"
                found.append(entry.pod)
        return found

    def take_these(self, pods: Iterable[PodInfo]) -> None:
        """These are planned now as well, wherever they are."""
        for pod in pods:
            entry = self._entries.get(pod.key)
            if entry is not None and entry.pod.uid == pod.uid:
                self._unpark(entry)
                entry.where = "taken"

    def failed(self, pod: PodInfo, refusals: frozenset[str], now: float) -> None:
        """A pod that was taken found no place. Without `refusals` something went wrong, and it is tried again after its back-off."""
        entry = self._entries.get(pod.key)
        if entry is None or entry.pod.uid != pod.uid or entry.where != "taken":
            return
        entry.attempts += 1
        entry.failed = now
        entry.refusals = refusals
        if not refusals:
            self._back_off(entry)
            return
        entry.where = "parked"
        for refusal in refusals:
            self._parked.setdefault(refusal, {})[pod.key] = None

    def wake(self, changes: Iterable[str]) -> None:
        """Something has changed that can resolve these refusals."""
        for change in changes:
            for key in list(self._parked.get(change, ())):
                self._wake(self._entries[key])

    def wake_pod(self, key: Key) -> None:
        """A change concerns this one pod."""
        entry = self._entries.get(key)
        if entry is not None and entry.where == "parked":
            self._wake(entry)

    def waits(self, changes: Iterable[str]) -> bool:
        """Is there a pod that such a change could help?"""
        return any(self._parked.get(change) for change in changes)

    def due(self, now: float) -> float | None:
        """Seconds until there is something to take, 0 for now; None when only a change can bring that about."""
        if any(e is not None and e.where == "active" for e in (self._entries.get(order[2]) for order, _ in self._active)):
            return 0.0
        times = [ready for ready, key in self._backing_off[:1]]
        times += [FORGOTTEN_AFTER + min(e.failed for e in self._entries.values() if e.where == "parked")] if self._is_any_parked() else []
        return max(0.0, min(times) - now) if times else None

    def _is_any_parked(self) -> bool:
        return any(self._parked.values())

    def _ripen(self, now: float) -> None:
        """Activate what has waited long enough; a few more when nothing else is to be done."""
        while self._backing_off and self._backing_off[0][0] <= now:
            self._step_up(heapq.heappop(self._backing_off)[1])
        if not self._active:
            for _ in range(min(EAGER, len(self._backing_off))):
                ready, key = heapq.heappop(self._backing_off)
                entry = self._entries.get(key)
                if entry is not None and entry.where == "backing off" and not entry.refusals:
                    heapq.heappush(self._backing_off, (ready, key))  # something went wrong with it: that is worth a pause
                    break
                self._step_up(key)
        if self._is_any_parked():
            for entry in [e for e in self._entries.values() if e.where == "parked" and e.failed + FORGOTTEN_AFTER <= now]:
                self._unpark(entry)
                self._activate(entry)

    def _step_up(self, key: Key) -> None:
        entry = self._entries.get(key)
        if entry is not None and entry.where == "backing off":
            self._activate(entry)

    def _wake(self, entry: _Entry) -> None:
        self._unpark(entry)
        self._back_off(entry)

    def _activate(self, entry: _Entry) -> None:
        entry.where = "active"
        heapq.heappush(self._active, (entry.pod.order, entry.pod.uid))

    def _back_off(self, entry: _Entry) -> None:
        entry.where = "backing off"
        entry.ready = entry.failed + min(FIRST_BACKOFF * 2 ** min(entry.attempts - 1, 8), LAST_BACKOFF)
        heapq.heappush(self._backing_off, (entry.ready, entry.pod.key))

    def _unpark(self, entry: _Entry) -> None:
        if entry.where == "parked":
            for refusal in entry.refusals:
                self._parked[refusal].pop(entry.pod.key, None)
            entry.where = ""
