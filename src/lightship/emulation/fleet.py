"""The emulated nodes that there should be, against those that there are: which to create, change and delete, and doing it.

`main` settles the fleet when the platform starts, `lightship nodes` whenever somebody asks. The nodes themselves are the memory of it:
each says by a label of which shape it is. Nodes that people made themselves are never touched.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from lightship.aio.tasks import leaves
from lightship.client import Client
from lightship.emulation import api, shapes
from lightship.emulation.shapes import Shape
from lightship.kinds import NODES
from lightship.meta import objects
from lightship.meta.objects import Obj

T = TypeVar("T")
SIDE_BY_SIDE = 64


class Plan(NamedTuple):
    """What to do to the nodes."""

    create: list[Obj]
    change: list[tuple[Obj, Obj]]
    """(the node as it is, what to make of it)."""
    delete: list[str]


def of_fleet(nodes: Iterable[Obj]) -> dict[str, dict[int, Obj]]:
    """The nodes that a fleet consists of, by shape and number."""
    found: dict[str, dict[int, Obj]] = {}
    for node in nodes:
        shape = objects.labels(node).get(api.SHAPE_LABEL)
        _, _, number = objects.name(node).rpartition("-")
        if shape and api.is_emulated(node) and number.isdigit():
            found.setdefault(shape, {})[int(number)] = node
    return found


def plan(live: Iterable[Obj], wanted: Sequence[Shape], counts: Mapping[str, int], now: float, *, tainted: bool, prune: bool = True) -> Plan:
    """Pure. `prune`: nodes of shapes that are not wanted are deleted. Of a shape that shrinks those with the highest numbers go."""
    nodes = list(live)
    there = of_fleet(nodes)
    places = {place for node in nodes if (place := shapes.place_of(node)) is not None}
    free = (place for place in range(10 * shapes.MOST_NODES) if place not in places)
    made = Plan([], [], [])
    known = {shape.name for shape in wanted}
    if prune:
        made.delete.extend(objects.name(node) for shape, old in there.items() if shape not in known for node in old.values())
    for shape in wanted:
        old, count = there.get(shape.name, {}), counts[shape.name]
        kept = sorted(old)[:count]
        made.delete.extend(objects.name(old[number]) for number in sorted(old)[count:])
        for number in kept:
            change = changes(old[number], shape, number, tainted=tainted)
            if change:
                made.change.append((old[number], change))
        numbers = (number for number in range(10 * shapes.MOST_NODES) if number not in old)
        for _ in range(count - len(kept)):
            made.create.append(shapes.node(shape, next(numbers), next(free), now, tainted=tainted))
    return made


def changes(node: Obj, shape: Shape, number: int, *, tainted: bool) -> Obj:
    """A merge patch after which a node is of this shape; its status is apart."""
    wanted = shapes.metadata(shape, number)
    change: Obj = {}
    for field in ("labels", "annotations"):
        have = objects.meta(node).get(field) or {}
        new = {key: value for key, value in wanted[field].items() if have.get(key) != value}
        if new:
            change.setdefault("metadata", {})[field] = new
    taints = retainted(node, shapes.taints(shape, tainted=tainted), all_of={taint.get("key", "") for taint in shape.taints})
    if taints is not None:
        change["spec"] = {"taints": taints}
    capacity, allocatable = shapes.room(shape)
    status = objects.status(node)
    if status.get("capacity") != capacity or status.get("allocatable") != allocatable:
        gone = {resource: None for resource in status.get("capacity") or {} if resource not in capacity}
        lost = {resource: None for resource in status.get("allocatable") or {} if resource not in allocatable}
        change["status"] = {"capacity": capacity | gone, "allocatable": allocatable | lost}
    return change


def retainted(node: Obj, wanted: list[Obj], all_of: Collection[str] = ()) -> list[Obj] | None:
    """The node's taints with those of its shape, and all that others have put there; None where that is what it has."""
    have = objects.spec(node).get("taints") or []
    own = {api.FAKE, *all_of}
    others = [taint for taint in have if taint.get("key") not in own]
    made = [*wanted, *others]
    return None if sorted(map(str, made)) == sorted(map(str, have)) else made


async def carry_out(client: Client, decided: Plan) -> None:
    """Do it, many writes side by side. Raises the first thing that the server refused."""
    try:
        await each(decided.delete, lambda name: client.delete(NODES, name, missing_ok=True))
        await each(decided.change, lambda pair: _change(client, *pair))
        await each(decided.create, lambda node: client.create(NODES, node))
    except BaseExceptionGroup as failed:
        raise leaves(failed)[0] from failed


async def _change(client: Client, node: Obj, change: Obj) -> None:
    status = change.get("status")
    rest = {field: value for field, value in change.items() if field != "status"}
    if rest:
        await client.patch(NODES, objects.name(node), rest)
    if status:
        await client.patch(NODES, objects.name(node), {"status": status}, subresource="status")


async def settle(client: Client, wanted: Sequence[Shape] | None, total: int | None, now: float, *, tainted: bool) -> int:
    """Make the fleet so, and return how many nodes it has. Without shapes and a number, only taints are seen to."""
    live = (await client.list(NODES)).items
    if wanted is None and total is None:
        fleet = [node for numbers in of_fleet(live).values() for node in numbers.values()]
        await carry_out(client, Plan([], [(n, c) for n in fleet if (c := _taint(n, tainted=tainted))], []))
        return len(fleet)
    chosen = list(wanted or [shapes.DEFAULT])
    counts = shapes.shared(chosen, total)
    await carry_out(client, plan(live, chosen, counts, now, tainted=tainted))
    return sum(counts.values())


def _taint(node: Obj, *, tainted: bool) -> Obj:
    taints = retainted(node, [api.TAINT] if tainted else [])
    return {} if taints is None else {"spec": {"taints": taints}}


async def each(items: Iterable[T], do: Callable[[T], Awaitable[object]]) -> None:
    """Do something for every item, many side by side."""
    waiting = iter(items)

    async def some() -> None:
        for item in waiting:
            await do(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(SIDE_BY_SIDE):
            group.create_task(some())
