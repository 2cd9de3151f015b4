"""Who owns what of a kind whose versions differ: each manager's fields are those of the version that it wrote through."""

from pathlib import Path

import pytest

from lightship.aio.clock import SystemClock
from lightship.apiserver.access import pki
from lightship.meta.objects import Obj
from lightship.meta.rest import APPLY_PATCH

from .site import Site, refused
from .test_apply import owners
from .test_crd_conversion import V1, V2, Hook, run


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hook")
    pki.issue(folder, SystemClock().now(), ("hook.default.svc",))
    return folder


def config(version: str, spec: Obj) -> Obj:
    return {"apiVersion": f"multi.example.com/{version}", "kind": "Multi", "metadata": {"name": "m"}, "spec": spec}


def test_fields_are_compared_in_the_version_that_they_are_of(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        await site.patch(V1, "m", config("v1", {"size": 1}), type=APPLY_PATCH, field_manager="one")
        with refused(409, "Conflict", 'conflict with "one": .spec.size'):
            await site.patch(V2, "m", config("v2", {"dimensions": {"size": 2}}), type=APPLY_PATCH, field_manager="two")
        shared = await site.patch(V2, "m", config("v2", {"dimensions": {"size": 1}}), type=APPLY_PATCH, field_manager="two")
        want = {"+one": {"f:spec": {"f:size": {}}}, "+two": {"f:spec": {"f:dimensions": {"f:size": {}}}}}
        assert owners(shared) == want
        # Who let go of a field takes it away only when nobody else has it, in whatever version.
        left = await site.patch(V1, "m", config("v1", {}), type=APPLY_PATCH, field_manager="one")
        assert left["spec"] == {"size": 1}
        changed = await site.patch(V1, "m", {"spec": {"size": 5}}, field_manager="ed")
        assert owners(changed) == {"+one": {"f:spec": {}}, "ed": {"f:spec": {"f:size": {}}}}

    run(authority, test)
