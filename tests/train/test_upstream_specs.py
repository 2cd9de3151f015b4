"""Upstream's integration tests of Trainer, step by step on our server with our admission and our controller.

A case is a spec as it ran against upstream's webhooks and controllers on kube-apiserver (`tools/make_trainer_cases.py`): what it wrote,
with the answers, and what it saw in the end between two writes. Writes must be answered alike, in code and words; what was seen must come
to be, whole objects at a time. JobSet's own webhooks were not there, so they are not here.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightship import kinds
from lightship.builtin.api import COSCHEDULING_POD_GROUPS, JOB_SETS
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.train.api import RESOURCES
from lightship.train.plugins.volcano import POD_GROUPS as VOLCANO_POD_GROUPS
from tests.train import site
from tests.train.site import Site

MORE = (VOLCANO_POD_GROUPS,)
SERVED = {(r.group, r.plural): r for r in (*kinds.BUILTIN, JOB_SETS, COSCHEDULING_POD_GROUPS, *RESOURCES, *MORE)}
SERVERS_OWN = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
MOMENTS = ("lastTransitionTime", "time")
NOISE = ("status", "strategy", "resources", "metadata")
"""What Go writes empty, or not at all."""
KEPT_LIVE = "resourceVersion"
SINCE_OPEN_MPI_5 = "PRTE_MCA_"
"""Variables that say to Open MPI 5 what upstream says to Open MPI 4 only: we add them, upstream has not."""


def cases(name: str) -> list[Any]:
    lines = (Path(__file__).parent / "cases" / f"{name}.jsonl").read_text().splitlines()
    return [pytest.param(case, id=case["spec"]) for case in map(json.loads, lines)]


@pytest.mark.parametrize("case", cases("webhooks"))
def test_what_upstream_lets_in_and_refuses(case: Obj) -> None:
    async def scenario(s: Site) -> None:
        await play(s, case)

    site.run(scenario, jobsets=False, more=MORE)


@pytest.mark.parametrize("case", cases("controller"))
def test_what_upstream_makes_of_it(case: Obj) -> None:
    async def scenario(s: Site) -> None:
        async with s.controllers():
            await play(s, case)

    site.run(scenario, jobsets=False, more=MORE)


async def play(s: Site, case: Obj) -> None:
    await s.client.create(kinds.NAMESPACES, {"metadata": {"name": case["namespace"]}})
    for number, step in enumerate(case["steps"]):
        said = f"step {number}: {step['method']} {step['path']}"
        resource, namespace, name, part = target(step["path"])
        if step["method"] == "GET":
            await see(s, said, step, resource, namespace, name)
        else:
            await s.settle(0.1)  # upstream's controllers had done what they could before a client came back
            await write(s, said, step, resource, namespace, name, part)


async def write(s: Site, said: str, step: Obj, resource: Resource, namespace: str, name: str, part: str) -> None:
    sent = long(step.get("sent"))
    try:
        answer: Any = await request(s, step["method"], resource, namespace, name, part, sent)
        code, message = (201 if step["method"] == "POST" else 200), None
    except errors.StatusError as error:
        answer, code, message = None, error.code, error.message
    assert (code, message) == (step["code"], step.get("message")), said
    if code < 400 and step["method"] != "DELETE":
        want = plain(long(step.get("answer") or step["sent"]))
        fields = ("status",) if part == "status" else ("metadata", "spec")  # the rest is whatever controllers had done by then
        got = plain(answer)
        assert [got.get(field) for field in fields] == [want.get(field) for field in fields], said


async def request(s: Site, method: str, resource: Resource, namespace: str, name: str, part: str, sent: Any) -> Any:
    if method == "POST":
        return await s.client.create(resource, sent)
    if method == "DELETE":
        if name:
            return await s.client.delete(resource, name, namespace)
        return await s.client.delete_collection(resource, namespace)
    live = await s.client.get(resource, name, namespace)
    wanted = {**sent, "metadata": {**sent["metadata"], KEPT_LIVE: objects.meta(live)[KEPT_LIVE]}}
    return await (s.client.update_status(resource, wanted) if part == "status" else s.client.update(resource, wanted))


async def see(s: Site, said: str, step: Obj, resource: Resource, namespace: str, name: str) -> None:
    want = plain(step["answer"]) if step["code"] == 200 else None
    found: Any = None

    async def there() -> bool | None:
        nonlocal found
        if name:
            live = await s.client.get_or_none(resource, name, namespace)
            found = None if live is None else plain(live)
            return found == want or None
        found = [plain({"kind": resource.kind, **item}) for item in (await s.client.list(resource, namespace)).items]
        return found == [plain({"kind": resource.kind, **item}) for item in step["answer"]["items"]] or None

    try:
        await s.until(there)
    except AssertionError:
        assert found == want, said


def target(path: str) -> tuple[Resource, str, str, str]:
    """(kind, namespace, name, subresource) of a path."""
    _, api, *parts = path.split("/")
    group = parts.pop(0) if api == "apis" else ""
    parts.pop(0)
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        _, namespace, *parts = parts
    plural, name, part = (*parts, "", "")[:3]
    return SERVED[group, plural], namespace, name, part


def long(value: Any) -> Any:
    """With the long texts written out."""
    if isinstance(value, dict):
        if "$repeat" in value:
            letter, times = value["$repeat"]
            return letter * times
        return {key: long(item) for key, item in value.items()}
    return [long(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """An object without what differs from run to run; a snapshot is compared by what it holds."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: plain(item) for key, item in value.items() if item is not None and key not in MOMENTS}
    if "env" in kept:
        kept["env"] = [e for e in kept["env"] if not e["name"].startswith(SINCE_OPEN_MPI_5)]
    if isinstance(kept.get("metadata"), dict):
        kept["metadata"] = {k: v for k, v in kept["metadata"].items() if k not in SERVERS_OWN}
    if "ownerReferences" in kept:
        kept["ownerReferences"] = [{k: v for k, v in owner.items() if k != "uid"} for owner in kept["ownerReferences"]]
    if value.get("kind") == "ConfigMap" and "runtime" in kept.get("data", {}):
        kept["data"] = plain(yaml.safe_load(kept["data"]["runtime"]))
    if value.get("kind") == "Secret" or value.get("metadata", {}).get("name", "").endswith("-flux-entrypoint"):
        kept["data"] = sorted(kept.get("data", {}))  # keys are made up, scripts are upstream's or ours
    return {key: item for key, item in kept.items() if not (key in NOISE and item == {})}
