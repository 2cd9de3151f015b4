"""What a container sees of its pod's volumes, and what it may not ask for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.inputs import memory, mounts, volumes
from lightship.node.inputs.claims import Claims
from lightship.node.inputs.volumes import VolumeError
from lightship.node.runtimes.runtime import Mount, Tmpfs

from .make import container, pod

AT = Path("/pods/p/.volumes")
CLAIMS = Claims({"c": Path("/claims/c")})


def of(*shown: Obj, env: Mapping[str, str] = {}, **volume: Any) -> list[Mount]:
    obj = pod(container(volumeMounts=[{"name": "v", **m} for m in shown]), volumes=[{"name": "v", **volume}])
    return mounts.of(obj, obj["spec"]["containers"][0], AT, env, CLAIMS)


def mount(**more: Any) -> Mount:
    return Mount(**{"target": "/m", "source": str(AT / "v"), "name": "v", **more})


def test_mounts() -> None:
    assert of({"mountPath": "/m"}, emptyDir={}) == [mount()]
    assert of({"mountPath": "m"}, emptyDir={}) == [mount()], "paths are absolute, said or not"
    assert of({"mountPath": "/m", "readOnly": True}, emptyDir={}) == [mount(read_only=True)]
    assert of({"mountPath": "/m"}, configMap={"name": "cm"}) == [mount(read_only=True)]
    assert of({"mountPath": "/m"}, persistentVolumeClaim={"claimName": "c"}) == [mount(source="/claims/c")]
    assert of({"mountPath": "/m"}, persistentVolumeClaim={"claimName": "c", "readOnly": True}) == [
        mount(source="/claims/c", read_only=True)
    ]
    assert of({"mountPath": "/m"}, hostPath={"path": "/h"}) == [mount(source="/h")]


def test_sub_paths() -> None:
    assert of({"mountPath": "/m", "subPath": "logs/a"}, emptyDir={}) == [mount(sub_path="logs/a")]
    assert of({"mountPath": "/m", "subPathExpr": "logs/$(NAME)"}, env={"NAME": "x"}, emptyDir={}) == [mount(sub_path="logs/x")]


@pytest.mark.parametrize(
    ("shown", "env", "want"),
    [
        ({"subPathExpr": "$(A)/$(B)"}, {}, "missing value for A, B"),
        ({"subPathExpr": "$(A)"}, {"A": ""}, "missing value for A"),
        ({"subPathExpr": "$(A)"}, {"A": "/etc"}, "error SubPath `/etc` must not be an absolute path"),
        ({"subPathExpr": "x/$(A)"}, {"A": "../../etc"}, "unable to provision SubPath `x/../../etc`: must not contain '..'"),
        ({"subPathExpr": "..$(A)/"}, {"A": "b"}, None),
        ({"subPathExpr": "a$$(A)"}, {}, None),
    ],
)
def test_refused_sub_paths(shown: Obj, env: Mapping[str, str], want: str | None) -> None:
    if want is None:
        assert of({"mountPath": "/m", **shown}, env=env, emptyDir={})
        return
    with pytest.raises(VolumeError) as raised:
        of({"mountPath": "/m", **shown}, env=env, emptyDir={})
    assert str(raised.value) == want


def test_volumes_that_are_not_there_and_block_devices() -> None:
    obj = pod(container(volumeMounts=[{"name": "w", "mountPath": "/m"}]))
    with pytest.raises(VolumeError, match='cannot find volume "w" to mount into container "main"'):
        mounts.of(obj, obj["spec"]["containers"][0], AT, {}, CLAIMS)
    obj = pod(container(volumeDevices=[{"name": "w", "devicePath": "/dev/x"}]))
    with pytest.raises(VolumeError, match='cannot find volume "w" to pass into container "main"'):
        mounts.of(obj, obj["spec"]["containers"][0], AT, {}, CLAIMS)


@pytest.mark.parametrize(
    ("mount", "want"),
    [
        ({}, {}),
        ({"readOnly": True}, {"readOnly": True, "recursiveReadOnly": "Disabled"}),
        ({"readOnly": True, "recursiveReadOnly": "IfPossible"}, {"readOnly": True, "recursiveReadOnly": "Enabled"}),
        ({"readOnly": True, "recursiveReadOnly": "Enabled"}, {"readOnly": True, "recursiveReadOnly": "Enabled"}),
        ({"readOnly": True, "recursiveReadOnly": "Disabled"}, {"readOnly": True, "recursiveReadOnly": "Disabled"}),
    ],
)
def test_what_the_status_says(mount: Obj, want: Obj) -> None:
    named = {"name": "v", "mountPath": "/m"}
    assert mounts.shown(container(volumeMounts=[{**named, **mount}])) == [{**named, **want}]


def test_mount_points_inside_a_volume() -> None:
    paths = {"v": "/a", "one": "/a/one", "two": "/a/two/deep", "three": "/a/one/below", "four": "/ab"}
    obj = pod(container(volumeMounts=[{"name": name, "mountPath": path} for name, path in paths.items()]))
    assert sorted(volumes.nested(obj, "v")) == ["one", "two/deep"]
    assert volumes.nested(obj, "four") == []


def sized(*limits: str | None, inits: list[Obj] | None = None, **source: Any) -> list[Tmpfs]:
    containers = [container(f"c{i}", resources={"limits": {"memory": limit}} if limit else {}) for i, limit in enumerate(limits)]
    obj = pod(*containers, inits=inits, volumes=[{"name": "v", "emptyDir": {"medium": "Memory", **source}}, {"name": "w", "emptyDir": {}}])
    return memory.volumes(obj, AT, gid=None, allocatable={"memory": "8Gi"})


@pytest.mark.parametrize(
    ("limits", "source", "want"),
    [
        ((None,), {}, 8 << 30),
        (("1Gi", None), {}, 8 << 30),
        (("1Gi", "2Gi"), {}, 3 << 30),
        (("1Gi", "2Gi"), {"sizeLimit": "64Mi"}, 64 << 20),
        (("64Mi",), {"sizeLimit": "1Gi"}, 64 << 20),
        (("64Mi",), {"sizeLimit": "0"}, 64 << 20),
    ],
)
def test_memory_volumes_hold_the_least_of_all_limits(limits: tuple[str | None, ...], source: Obj, want: int) -> None:
    assert sized(*limits, **source) == [Tmpfs(path=str(AT / "v"), size=want)]


def test_init_containers_count_one_at_a_time() -> None:
    inits = [container(f"i{i}", resources={"limits": {"memory": "1Gi"}}) for i in range(3)]
    assert sized("512Mi", inits=inits)[0].size == 1 << 30


def test_a_volume_with_files_of_variables_stays_where_the_node_can_read_it() -> None:
    source = {"fileKeyRef": {"volumeName": "v", "path": "f", "key": "K"}}
    volume = {"name": "v", "emptyDir": {"medium": "Memory"}}
    obj = pod(container(env=[{"name": "A", "valueFrom": source}]), volumes=[volume])
    assert memory.volumes(obj, AT, gid=None, allocatable={}) == []
