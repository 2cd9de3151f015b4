"""Priority and fairness: which flow a request belongs to, and who gets the next seat."""

import asyncio
from typing import Any

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.access.authz import Attributes
from lightship.apiserver.fairness import Gate, flows
from lightship.apiserver.fairness.gate import PATIENCE
from lightship.apiserver.fairness.queues import Queues, deal
from lightship.meta import codec
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import User
from lightship.store import Put, Store, memory

EVERYTHING = {
    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}


def schema(name: str, level: str, precedence: int, *rules: Obj, by: str = "ByUser") -> Obj:
    spec = {
        "matchingPrecedence": precedence,
        "priorityLevelConfiguration": {"name": level},
        "distinguisherMethod": {"type": by},
        "rules": list(rules),
    }
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec}


def subjects(*groups: str, **more: Any) -> Obj:
    return {"subjects": [{"kind": "Group", "group": {"name": group}} for group in groups], **EVERYTHING, **more}


def level(name: str, shares: int, *, queue: bool = True, **limited: Any) -> Obj:
    response: Obj = {"type": "Reject"}
    if queue:
        response = {"type": "Queue", "queuing": {"queues": 16, "handSize": 2, "queueLengthLimit": 3}}
    spec = {"type": "Limited", "limited": {"nominalConcurrencyShares": shares, "limitResponse": response, **limited}}
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec}


def wish(user: str = "ann", groups: tuple[str, ...] = ("system:authenticated",), **more: Any) -> Attributes:
    return Attributes(**{"user": User(user, groups), "verb": "list", "resource": "pods", "namespace": "default", **more})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (wish(), ("rest", "ann")),
        (wish(groups=("system:nodes", "system:authenticated")), ("nodes", "")),
        (wish(user="system:serviceaccount:team:bot"), ("bots", "default")),
        (wish(user="system:serviceaccount:other:bot"), ("rest", "system:serviceaccount:other:bot")),
        (wish(resource="", path="/healthz", verb="get"), ("probes", "ann")),
        (wish(groups=()), None),
    ],
)
def test_the_first_schema_that_matches_is_taken(asked: Attributes, expected: tuple[str, str] | None) -> None:
    bot = {"kind": "ServiceAccount", "serviceAccount": {"namespace": "team", "name": "*"}}
    probe = {"verbs": ["get"], "nonResourceURLs": ["/healthz"]}
    schemas = flows.ordered(
        [
            schema("rest", "low", 9000, subjects("system:authenticated")),
            schema("bots", "low", 500, {**subjects(), "subjects": [bot]}, by="ByNamespace"),
            schema("nodes", "low", 400, subjects("system:nodes"), by=""),
            schema("probes", "low", 2, subjects("system:authenticated", resourceRules=[], nonResourceRules=[probe])),
            schema("lost", "nowhere", 1, subjects("system:authenticated")),
        ]
    )
    found = flows.classify(schemas, {"low": level("low", 1)}, asked)
    assert (found and (found.schema, found.distinguisher)) == expected


def test_queues_serve_flows_in_turn() -> None:
    queues: Queues[str] = Queues(queues=128, hand=1, length=50)
    for number in range(10):
        assert queues.push("noisy", f"noisy {number}")
    assert queues.push("quiet", "quiet 0")
    order = [queues.pop() for _ in range(11)]
    assert order.index("quiet 0") <= 1
    assert queues.pop() is None
    assert len(queues) == 0


def test_a_full_queue_refuses() -> None:
    queues: Queues[int] = Queues(queues=4, hand=2, length=3)
    assert [queues.push("flow", number) for number in range(8)] == [True] * 6 + [False] * 2


def test_hands_are_dealt_the_same_every_time() -> None:
    assert deal("ann", 128, 6) == deal("ann", 128, 6)
    assert len(set(deal("ann", 128, 6))) == 6
    assert deal("ann", 128, 6) != deal("bob", 128, 6)


async def fill(store: Store, *objs: Obj) -> None:
    for obj in objs:
        plural = "flowschemas" if "rules" in obj["spec"] else "prioritylevelconfigurations"
        key = f"flowcontrol.apiserver.k8s.io/{plural}//{obj['metadata']['name']}"
        await store.commit(Put(key, lambda revision, obj=obj: codec.encode(obj), None, obj))  # type: ignore[misc]


def test_a_noisy_user_does_not_starve_another() -> None:
    async def main() -> None:
        store = memory()
        await fill(store, level("low", 1), schema("rest", "low", 9000, subjects("system:authenticated")))
        gate = Gate(store, seats=4)
        served: list[str] = []
        refusals: list[Any] = []

        async def ask(user: str) -> None:
            try:
                seat = await gate.enter(wish(user))
            except StatusError as error:
                refusals.append((error.code, error.details))
                served.append("refused")
                return
            await LoopClock().sleep(1)
            served.append(user)
            seat.leave()

        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(ask("noisy"))
            await LoopClock().sleep(0.5)
            group.create_task(ask("quiet"))
        assert refusals == [(429, {"retryAfterSeconds": 1})] * (40 - 4 - 6)
        assert "quiet" in [user for user in served if user != "refused"][:8]

    virtual.run(main())


def test_levels_lend_what_they_do_not_use() -> None:
    async def main() -> None:
        store = memory()
        await fill(
            store,
            level("low", 1, queue=False, lendablePercent=0),
            level("high", 1, queue=False, lendablePercent=50),
            schema("rest", "low", 9000, subjects("system:authenticated")),
            schema("nodes", "high", 1, subjects("system:nodes")),
        )
        gate = Gate(store, seats=8)
        seats = [await gate.enter(wish()) for _ in range(6)]
        with pytest.raises(StatusError, match="too many requests"):
            await gate.enter(wish())
        await gate.enter(wish("n", ("system:nodes",)))
        seats[0].leave()
        seats[0].leave()
        await gate.enter(wish())
        with pytest.raises(StatusError):
            await gate.enter(wish())

    virtual.run(main())


def test_waiting_has_an_end_and_leaves_nothing_behind() -> None:
    async def main() -> None:
        store = memory()
        await fill(store, level("low", 1), schema("rest", "low", 9000, subjects("system:authenticated")))
        gate = Gate(store, seats=1)
        seat = await gate.enter(wish())
        begun = asyncio.get_running_loop().time()
        with pytest.raises(StatusError, match="no seat came free in time"):
            await gate.enter(wish())
        assert asyncio.get_running_loop().time() - begun == PATIENCE
        waiting = asyncio.create_task(gate.enter(wish()))
        await LoopClock().sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        seat.leave()
        (await gate.enter(wish())).leave()

    virtual.run(main())


def test_without_any_schema_everybody_passes() -> None:
    async def main() -> None:
        gate = Gate(memory(), seats=1)
        passes = [await gate.enter(wish()) for _ in range(3)]
        assert passes[0].flow.schema == ""

    virtual.run(main())
