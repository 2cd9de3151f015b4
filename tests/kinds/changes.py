"""What a whole server makes of a case: for updates, and for kinds of which the server decides more than their own rules do."""

import json
import random
import re
from typing import Any

from lightship import kinds, store
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.server import Server
from lightship.meta import errors
from lightship.meta.objects import Obj, copy
from lightship.meta.patch import merge_patch
from lightship.meta.resources import Resource
from lightship.meta.rest import Transport, User, WriteOptions

_ADMIN = User("admin", ("system:masters", "system:authenticated"), "admin")
_DRY = WriteOptions(dry_run=True, field_validation="Strict")
_SERVER_SET = ("apiVersion", "kind", "metadata")
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADMITTED = ("priority", "preemptionPolicy", "serviceAccountName", "serviceAccount")
"""What admission adds to the spec of a pod."""


def answer(resource: Resource, case: Obj) -> Obj:
    """`refused` or `stored`, and of an update the `generation`, as tools/record_kinds_cases.py writes them."""
    return virtual.run(_answer(resource, case))


async def _answer(resource: Resource, case: Obj) -> Obj:
    clock = LoopClock()
    server = Server(store.memory(clock=clock), kinds.BUILTIN, clock=clock, random=random.Random(7))
    await server.start()
    transport = server.local(_ADMIN)
    space = "default" if resource.namespaced else ""
    await _without_tokens(server)
    try:
        if "old" not in case:
            return _shown(case, await transport.create(resource, space, copy(case["object"]), options=_DRY))
        await _make(transport, resource, space, copy(case["old"]))
        name, part = case["old"]["metadata"]["name"], case.get("part", "")
        new = copy(case["object"])
        if "change" in case:
            new = merge_patch(await transport.get(resource, space, name), case["change"])
        return _shown(case, await transport.update(resource, space, name, new, subresource=part, options=_DRY))
    except errors.StatusError as error:
        asked = json.dumps([case["object"], case.get("old")])
        return {"refused": [without_allocated(text, asked) for text in _refusals(error)]}


async def _without_tokens(server: Server) -> None:
    """The account of the pods wants no tokens mounted: the answers were recorded from a server that mounts none."""
    transport = server.local(_ADMIN)
    account = await transport.get(kinds.SERVICE_ACCOUNTS, "default", "default")
    await transport.update(kinds.SERVICE_ACCOUNTS, "default", "default", {**account, "automountServiceAccountToken": False})


async def _make(transport: Transport, resource: Resource, space: str, old: Obj) -> None:
    """`old` may be of another version of the same kind."""
    group, _, version = old["apiVersion"].rpartition("/")
    written = next(r for r in kinds.BUILTIN if (r.group, r.version, r.kind) == (group, version, old["kind"]))
    status = old.get("status")
    made = copy(await transport.create(written, space, old))
    if status is not None:
        await transport.update(written, space, made["metadata"]["name"], {**made, "status": status}, subresource="status")


def _shown(case: Obj, found: Obj) -> Obj:
    text = _UID.sub("UID", json.dumps(found))
    found = json.loads(without_allocated(text, json.dumps([case["object"], case.get("old")])))
    if found["kind"] == "Pod":
        for field in _ADMITTED:
            if field not in case["object"]["spec"]:
                found["spec"].pop(field, None)
    shown: Obj = {"stored": {k: v for k, v in found.items() if k not in _SERVER_SET}}
    if "old" in case and "generation" in found["metadata"]:
        shown["generation"] = found["metadata"]["generation"]
    return shown


def _refusals(error: errors.StatusError) -> list[str]:
    causes: list[Any] = (error.details or {}).get("causes") or []
    if causes and error.code != 500:
        return [_UID.sub("UID", f"{cause['field']}: {cause['message']}") for cause in causes]
    return [_UID.sub("UID", re.sub(r"^.* cannot be handled as a \w+: ", "", error.message))]


def without_allocated(text: str, asked: str) -> str:
    """An answer without the addresses and ports that nobody asked for."""
    text = re.sub(r"10\.96\.\d+\.\d+", lambda found: found[0] if f'"{found[0]}"' in asked else "10.96.0.0", text)
    return re.sub(r"\b3[0-2]\d{3}\b", lambda found: found[0] if found[0] in asked else "30000", text)
