"""What the real server warned of, in the recorded cases of kinds that it warned of at all. Deprecated versions are not a kind's matter."""

import json
import random
from pathlib import Path

import pytest

from lightship import kinds, store
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.requests import Request
from lightship.apiserver.server import Server
from lightship.meta import errors
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource
from lightship.meta.rest import User, WriteOptions

_CASES = Path(__file__).parent / "cases"
_RESOURCES = {f"{r.api_version}/{r.plural}".replace("/", "_").replace(".k8s.io", ""): r for r in kinds.BUILTIN}
_ADMIN = User("admin", ("system:masters", "system:authenticated"), "admin")
_DEPRECATED = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"


def _load() -> list[tuple[str, int, Obj]]:
    files = {path.stem: json.loads(path.read_text()) for path in sorted(_CASES.glob("*.json"))}
    warned = {name: cases for name, cases in files.items() if any("warnings" in c for c in cases) and _warns(_RESOURCES[name])}
    return [(name, i, case) for name, cases in warned.items() for i, case in enumerate(cases)]


def _warns(resource: Resource) -> bool:
    return bool(resource.warn or any(part.warn for part in resource.parts.values()))


@pytest.mark.parametrize(
    ("name", "case"), [pytest.param(n, c, id=f"{n}-{i}") for n, i, c in _load() if "ours" not in c and "change" not in c]
)
def test_as_the_real_server_warns(name: str, case: Obj) -> None:
    want = sorted(set(case.get("warnings", ())) - {_DEPRECATED})
    assert sorted(set(virtual.run(_warned(_RESOURCES[name], case)))) == want  # the front tells each once


async def _warned(resource: Resource, case: Obj) -> list[str]:
    clock = LoopClock()
    server = Server(store.memory(clock=clock), kinds.BUILTIN, clock=clock, random=random.Random(7))
    await server.start()
    space, old = "default" if resource.namespaced else "", case.get("old")
    asked = Request(_ADMIN, resource, space, (old or {}).get("metadata", {}).get("name", ""), case.get("part", ""), warnings=[])
    try:
        if old is None:
            await server.registry.create(asked, copy(case["object"]), WriteOptions(dry_run=True))
        else:
            await server.local(_ADMIN).create(resource, space, copy(old))
            await server.registry.update(asked, copy(case["object"]), WriteOptions(dry_run=True))
    except errors.StatusError:
        pass  # what is refused may be warned of too
    return [warning for warning in asked.warnings if not warning.startswith("unknown field")]
