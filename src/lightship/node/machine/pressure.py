"""When the machine runs short of something, and which pod has to go: thresholds, conditions of the node, the order of eviction.

Pure: signals, pods and the time go in, conditions and names come out; `pods.evicting` looks and acts. Contract: kubelet eviction manager
(hard thresholds and their defaults, transition period, ranking, texts).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lightship.meta import quantity

TRANSITION = 300.0
"""Seconds for which a condition outlives what brought it about. Contract: kubelet evictionPressureTransitionPeriod."""
VARIABLE = "LIGHTSHIP_EVICTION_HARD"
EVICTED = "Evicted"
GRACE = 1.0
"""Seconds that an evicted pod has to end."""


class Signal(NamedTuple):
    """What is left of something, and how much there is in all."""

    available: int
    capacity: int


class Threshold(NamedTuple):
    """`amount` is a quantity, or a share of the capacity with `%` behind it; less than that is too little."""

    signal: str
    amount: str

    def quantity(self, capacity: int) -> int:
        if self.amount.endswith("%"):
            return int(capacity * float(self.amount[:-1]) / 100)
        return quantity.to_int(self.amount)


DEFAULTS = (
    Threshold("memory.available", "100Mi"),
    Threshold("nodefs.available", "10%"),
    Threshold("nodefs.inodesFree", "5%"),
    Threshold("imagefs.available", "15%"),
    Threshold("imagefs.inodesFree", "5%"),
)
SIGNALS = {
    "memory.available": ("memory", "MemoryPressure"),
    "nodefs.available": ("ephemeral-storage", "DiskPressure"),
    "nodefs.inodesFree": ("inodes", "DiskPressure"),
    "imagefs.available": ("ephemeral-storage", "DiskPressure"),
    "imagefs.inodesFree": ("inodes", "DiskPressure"),
    "pid.available": ("pids", "PIDPressure"),
}
"""Resource and condition of each signal, in the order in which they are answered."""


def parse(text: str) -> tuple[Threshold, ...]:
    """Thresholds as `--eviction-hard` of a kubelet has them: `memory.available<100Mi,nodefs.available<10%`. Raises `ValueError`."""
    found = []
    for part in filter(None, text.split(",")):
        signal, sign, amount = (word.strip() for word in part.partition("<"))
        if not sign or signal not in SIGNALS:
            raise ValueError(f'"{part}" is no threshold: write signal<quantity, with one of {", ".join(SIGNALS)}')
        threshold = Threshold(signal, amount)
        threshold.quantity(1)
        found.append(threshold)
    return tuple(found)


def thresholds() -> tuple[Threshold, ...]:
    """LIGHTSHIP_EVICTION_HARD, or the kubelet's defaults; `none` for none. Raises `ValueError`."""
    told = os.environ.get(VARIABLE, "")
    try:
        return DEFAULTS if not told else parse("" if told == "none" else told)
    except ValueError as error:
        raise ValueError(f"{VARIABLE}: {error}") from error


class Met(NamedTuple):
    """A threshold that is met: less is available than there should be."""

    resource: str
    threshold: int
    available: int
    signal: str = ""


class Verdict(NamedTuple):
    conditions: frozenset[str]
    met: list[Met]
    """The most pressing first."""


class Watch:
    """Remembers when conditions were last seen."""

    def __init__(self, thresholds: Sequence[Threshold] = DEFAULTS) -> None:
        self._thresholds = thresholds
        self._seen: dict[str, float] = {}

    def judge(self, signals: Mapping[str, Signal], now: float) -> Verdict:
        """`now` in seconds that never run backwards."""
        met = []
        for name, (resource, condition) in SIGNALS.items():
            for threshold in self._thresholds:
                signal = signals.get(name)
                if threshold.signal != name or signal is None:
                    continue
                wanted = threshold.quantity(signal.capacity)
                if signal.available < wanted:
                    self._seen[condition] = now
                    met.append(Met(resource, wanted, signal.available, name))
        return Verdict(frozenset(c for c, seen in self._seen.items() if now - seen < TRANSITION or seen == now), met)


class Part(NamedTuple):
    """A container of a candidate: what it uses and what it asked for, by resource."""

    name: str
    used: Mapping[str, int]
    requested: Mapping[str, int]


class Candidate(NamedTuple):
    """A pod that runs. `used` and `requested` by resource (`memory`, `ephemeral-storage`, `pids`); what is not known is missing."""

    uid: str
    priority: int
    critical: bool
    used: Mapping[str, int]
    requested: Mapping[str, int]
    parts: Sequence[Part] = ()


def ranked(resource: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Who goes first: those who use more than they asked for, then by priority, then by how much more it is."""

    def rank(pod: Candidate) -> tuple[bool, int, int]:
        used, requested = pod.used.get(resource), pod.requested.get(resource, 0)
        beyond = 0 if used is None else used - requested
        within = resource not in ("pids", "inodes") and used is not None and beyond <= 0
        return within, pod.priority, -beyond

    return sorted((pod for pod in candidates if not pod.critical), key=rank)


def message(met: Met, pod: Candidate) -> str:
    """What the pod's status says of its eviction."""
    shown = _binary if met.resource in ("memory", "ephemeral-storage") else str
    text = f"The node was low on resource: {met.resource}. Threshold quantity: {shown(met.threshold)}, available: {shown(met.available)}. "
    for part in pod.parts:
        used, requested = part.used.get(met.resource), part.requested.get(met.resource, 0)
        if used is not None and used > requested:
            text += f"Container {part.name} was using {_binary(used)}, request is {_binary(requested)}, "
            text += f"has larger consumption of {met.resource}. "
    return text


def _binary(amount: int) -> str:
    """As Go prints a quantity of bytes: the largest suffix that leaves it whole."""
    for suffix in ("", "Ki", "Mi", "Gi", "Ti"):
        if amount % 1024 or amount == 0 or suffix == "Ti":
            return f"{amount}{suffix}"
        amount //= 1024
    return str(amount)


def refusal(conditions: Iterable[str], *, best_effort: bool, tolerates_memory: bool, critical: bool) -> str:
    """Why a node under pressure does not take a pod; empty when it does. Contract: kubelet eviction manager, Admit."""
    present = sorted(conditions)
    if not present or critical:
        return ""
    if present == ["MemoryPressure"] and (not best_effort or tolerates_memory):
        return ""
    return f"The node had condition: [{' '.join(present)}]. "
