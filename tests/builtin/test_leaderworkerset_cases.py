"""What upstream's own tests give to the functions that decide about LeaderWorkerSets, and what these make of it: ours make the same.

The calls in `cases/leaderworkerset.jsonl` are written down by `tools/record_leaderworkerset_cases.py` while upstream's unit and integration
tests run. Left out are calls that say too little: of `setCondition` with a condition that is false, which neither of us makes, and of
`rollingUpdateParameters` where it asked for the states of groups, which are in `rollingUpdatePartition`.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from lightship.builtin import history
from lightship.builtin.disaggregatedset import planner
from lightship.builtin.leaderworkerset import build, gangs, groups, places, pods, revisions, rollout, rules, status, tpu
from lightship.meta import objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

RECORDED = [json.loads(line) for line in (Path(__file__).parent / "cases" / "leaderworkerset.jsonl").read_text().splitlines()]
_STRUCTS = ("metadata", "resources", "status")
"""Fields that Go writes even where there is nothing in them."""


def plain(value: Any) -> Any:
    """Without what is empty, and without the identities of objects."""
    if isinstance(value, dict):
        return {k: found for k, v in value.items() if k != "uid" and (found := plain(v)) not in (None, {}, [], "")}
    return [plain(item) for item in value] if isinstance(value, list) else value


def spare(value: Any) -> Any:
    """As a user would write it."""
    if isinstance(value, dict):
        return {k: spare(v) for k, v in value.items() if not (k in _STRUCTS and v == {})}
    return [spare(item) for item in value] if isinstance(value, list) else value


def changed(change: Callable[..., object], obj: Obj, *more: Any) -> list[Any]:
    """The object after it was changed in place, and the complaint instead where there was one."""
    copied = objects.copy(obj)
    try:
        change(copied, *more)
    except ValueError as error:
        return [copied, str(error)]
    return [copied, ""]


def listed(causes: Iterable[Cause]) -> str:
    texts = list(dict.fromkeys(cause.text() for cause in causes))
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]" if texts else ""


def leader_set(lws: Obj, partition: int, replicas: int, revision: str) -> list[Any]:
    found = build.leader_set({"apiVersion": "", "kind": "", **lws}, rollout.Step(partition, replicas), revision)
    del found["metadata"]["ownerReferences"]
    return [found]


def worker_set(leader: Obj, lws: Obj, revision: Obj) -> list[Any]:
    found = build.worker_set(lws, leader, revision)
    del found["metadata"]["ownerReferences"]
    return [found]


class UnknownError(Exception):
    """It was not written down."""


def step(lws: Obj, live: Obj | None, changed: bool) -> list[Any]:
    def groups() -> list[rollout.Group]:
        raise UnknownError

    found = rollout.step(lws, live, groups, changed=changed)
    return [found.partition, found.replicas]


def condition(lws: Obj, new: Obj) -> list[Any]:
    conditions = objects.copy(objects.status(lws).get("conditions") or [])
    told = status.hold(conditions, new["type"], new.get("observedGeneration", 0), 0.0)
    return [_shown(conditions), told]


def pod_group(lws: Obj, leader: Obj) -> list[Any]:
    found = gangs.build(lws, leader)
    del found["metadata"]["ownerReferences"]
    return [{"metadata": found["metadata"], "spec": found["spec"]}]


def _shown(conditions: Iterable[Obj]) -> list[Any]:
    return [[c["type"], c["status"], c.get("observedGeneration", 0)] for c in conditions]


def next_step(initial: list[int], old: list[int], new: list[int], wanted: list[int], limits: list[Obj]) -> list[Any]:
    found = planner.next_step(initial, old, new, wanted, [planner.Limits(c["MaxSurge"], c["MaxUnavailable"]) for c in limits])
    return [None if found is None else {"Past": found.old, "New": found.new}]


def defaulted(lws: Obj) -> list[Any]:
    return [rules.defaulted(lws)]


OURS: dict[str, Callable[..., list[Any]]] = {
    "AddLWSVariables": lambda pod: changed(pods.add_variables, pod),
    "AddTPUVariables": lambda pod, size: changed(tpu.add_variables, pod, size),
    "ComputeNextStep": next_step,
    "ContainerRestarted": lambda pod: [groups.has_restarted(pod)],
    "Default": defaulted,
    "GetParentNameAndOrdinal": lambda name: list(places.parent_and_ordinal(name)),
    "InjectPodGroupMetadata": lambda pod: changed(gangs.mark, pod)[:1],
    "PodDefault": lambda pod: changed(pods.dress, pod),
    "PodGroup": pod_group,
    "PodRequestsTPUs": lambda spec: [tpu.is_requested({"spec": spec})],
    "SetExclusiveAffinities": lambda pod, key, topology, label: changed(pods.place_apart, pod, key, topology, label)[:1],
    "StatefulsetReady": lambda found: [rollout.is_complete(found)],
    "ValidateCreate": lambda lws: [listed(rules.validate(lws, None))],
    "ValidateUpdate": lambda old, new: [listed(rules.validate(new, old))],
    "calculateRollingUpdateReplicas": lambda wanted, surge, down, missing: [rollout.size_with_surge(wanted, surge, down, missing)],
    "constructLeaderStatefulSetApplyConfiguration": leader_set,
    "constructWorkerStatefulSetApplyConfiguration": worker_set,
    "genGroupUniqueKey": lambda namespace, name: [pods.group_key(namespace, name)],
    "getPatch": lambda lws: [history.in_order(revisions.content(spare(lws)))],
    "getSubGroupIndex": lambda size, each, index: [str(pods.subgroup_index(size, each, index))],
    "hashRevision": lambda text: [history.hashed(json.loads(text))],
    "rollingUpdateParameters": step,
    "rollingUpdatePartition": lambda states, count, more, now: [rollout.next_partition([rollout.Group(*s) for s in states], more, now)],
    "setCondition": condition,
}


def is_whole(call: Obj) -> bool:
    """Does a call say all that an answer needs?"""
    if call["call"] == "setCondition":
        return bool(call["given"][1]["status"] == "True")
    try:
        return call["call"] != "rollingUpdateParameters" or bool(step(*call["given"]))
    except UnknownError:
        return False


CALLS = [call for call in RECORDED if is_whole(call)]


def wanted(call: Obj) -> Any:
    if call["call"] == "getPatch":
        return [json.loads(call["made"][0])]
    if call["call"] == "setCondition":
        return [_shown(objects.status(call["made"][0]).get("conditions") or []), call["made"][1]]
    return plain(call["made"]) if isinstance(call["made"][0], dict) else call["made"]


@pytest.mark.parametrize("number", range(len(CALLS)), ids=lambda i: f"{CALLS[i]['call']}-{i}")
def test_we_make_the_same_of_it(number: int) -> None:
    call = CALLS[number]
    if call["call"] == "PodDefault" and gangs.name_of(call["made"][0]):  # a manager that was told of Volcano
        gangs.mark(call["given"][0])
    made = OURS[call["call"]](*call["given"])
    exact = call["call"] in ("getPatch", "setCondition") or not isinstance(call["made"][0], dict)
    if call["made"][-1] and call["call"] in ("PodDefault", "AddLWSVariables", "AddTPUVariables"):
        assert made[1] == call["made"][1], "a refusal, in the same words"
    else:
        assert (made if exact else plain(made)) == wanted(call)
