"""Where the processes of an MPI program go: lists of hosts, their slots, and which rank gets which. Pure.

Contract: Open MPI's hostfiles and --host; processes fill the slots of one host after the other, or go round with `--map-by node`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class PlacementError(Exception):
    """The processes do not fit, or a list of hosts cannot be understood."""


class Host(NamedTuple):
    name: str
    slots: int


class Rank(NamedTuple):
    """One process: who it is among all, and on its host."""

    rank: int
    host: str
    local_rank: int
    local_size: int
    node: int
    """The host's place among those that are used."""


def parse_hostfile(text: str, default_slots: int = 1) -> list[Host]:
    """`HOST [slots=N] [max_slots=N]` by line; a host that is named twice has the slots of both. Raises `PlacementError`."""
    found: list[Host] = []
    for line in text.splitlines():
        words = line.partition("#")[0].replace("=", " = ").split()
        if words:
            found.append(Host(words[0].rpartition("@")[2], _slots(words[1:], line, default_slots)))
    return _merged(found)


def parse_hosts(text: str) -> list[Host]:
    """`a:2,b`: a with two slots, b with one. Raises `PlacementError`."""
    found = []
    for item in filter(None, text.split(",")):
        name, colon, slots = item.rpartition(":")
        if colon and not slots.isdecimal():
            raise PlacementError(f"--host {text}: {slots or 'nothing'} is no number of slots")
        found.append(Host(name, int(slots)) if colon else Host(item, 1))
    return _merged(found)


def narrowed(hosts: Sequence[Host], wanted: Sequence[Host]) -> list[Host]:
    """Those of a hostfile that --host names, with --host's slots. Raises `PlacementError`."""
    known = {host.name for host in hosts}
    strange = [host.name for host in wanted if host.name not in known]
    if strange:
        raise PlacementError(f"--host names {', '.join(strange)}, which the hostfile does not")
    return list(wanted)


def place(hosts: Sequence[Host], count: int | None = None, *, per_node: int = 0, around: bool = False, over: bool = False) -> list[Rank]:
    """Who runs where: `count` processes (default: as many as there are slots), or `per_node` of them on each host.

    `around`: one host after the other and round again; `over`: more than there are slots. Raises `PlacementError`.
    """
    if not hosts:
        raise PlacementError("there is no host")
    if per_node:
        hosts = [Host(host.name, per_node) for host in hosts]
    slots = sum(host.slots for host in hosts)
    wanted = slots if count is None else count
    if wanted < 1:
        raise PlacementError("there is no slot on any host" if count is None else f"-n {wanted}: at least one process must run")
    if wanted > slots and not over:
        named = ", ".join(f"{host.name}: {host.slots}" for host in hosts)
        raise PlacementError(f"there are not enough slots for {wanted} processes ({named}); --oversubscribe runs more than there are slots")
    taken = [0] * len(hosts)
    order = [_next(hosts, taken, around) for _ in range(wanted)]
    used = {at: node for node, at in enumerate(dict.fromkeys(order))}
    seen = [0] * len(hosts)
    found = []
    for rank, at in enumerate(order):
        found.append(Rank(rank, hosts[at].name, seen[at], taken[at], used[at]))
        seen[at] += 1
    return found


def _next(hosts: Sequence[Host], taken: list[int], around: bool) -> int:
    """The place of the host whose turn it is, which is then taken."""
    free = [at for at, host in enumerate(hosts) if taken[at] < host.slots] or list(range(len(hosts)))
    spread = around or all(taken[at] >= host.slots for at, host in enumerate(hosts))
    at = min(free, key=lambda at: (taken[at], at)) if spread else free[0]
    taken[at] += 1
    return at


def _slots(words: Sequence[str], line: str, default: int) -> int:
    settings = dict(_settings(words, line))
    found = settings.get("slots", str(default))
    if not found.isdecimal():
        raise PlacementError(f'hostfile: "{line.strip()}": {found} is no number of slots')
    return int(found)


def _settings(words: Sequence[str], line: str) -> Iterator[tuple[str, str]]:
    for at in range(0, len(words), 3):
        name, *rest = words[at : at + 3]
        if len(rest) != 2 or rest[0] != "=":
            raise PlacementError(f'hostfile: "{line.strip()}": "{name}" is no setting of a host')
        yield name, rest[1]


def _merged(hosts: Sequence[Host]) -> list[Host]:
    slots: dict[str, int] = {}
    for host in hosts:
        slots[host.name] = slots.get(host.name, 0) + host.slots
    return [Host(name, count) for name, count in slots.items()]
