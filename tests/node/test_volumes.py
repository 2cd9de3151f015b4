"""Volumes on disk: contents, modes, atomic updates, mounts."""

import base64
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.inputs import atomic, volumes
from lightship.node.inputs.atomic import File
from lightship.node.inputs.content import Inputs, TokenRequest, token_requests
from lightship.node.inputs.sources import Found, Ref, of_volumes
from lightship.node.inputs.volumes import Claims, Policy, VolumeError
from lightship.node.runtimes.runtime import Mount

from .make import container, pod

CONFIG = {"data": {"a.txt": "A", "b.txt": "B"}}
SECRET = {"data": {"key": base64.b64encode(b"\x00\x01").decode()}}
FOUND: Found = {Ref("ConfigMap", "cm"): CONFIG, Ref("Secret", "sec"): SECRET}
STRICT, NO_CLAIMS = Policy(), Claims()
TOKENS = {TokenRequest("", 3600): "tok", TokenRequest("mine", 600): "tok2"}


def prepare(
    directory: Path, *listed: Obj, found: Found = FOUND, policy: Policy = STRICT, claims: Claims = NO_CLAIMS, **meta: Any
) -> list[str]:
    obj = pod(container(resources={"limits": {"cpu": "2"}}), meta=meta, volumes=list(listed))
    inputs = Inputs(pod=obj, found=found, tokens=TOKENS, host_ip="192.0.2.1", pod_ip="10.0.0.1", allocatable={})
    return volumes.prepare(directory, inputs, policy, claims)


def read(directory: Path) -> dict[str, bytes]:
    visible = [p for p in directory.rglob("*") if not any(part.startswith("..") for part in p.relative_to(directory).parts)]
    return {str(p.relative_to(directory)): p.read_bytes() for p in visible if p.is_file()}


def test_config_map(tmp_path: Path) -> None:
    prepare(tmp_path, {"name": "v", "configMap": {"name": "cm"}})
    assert read(tmp_path / "v") == {"a.txt": b"A", "b.txt": b"B"}
    assert stat.S_IMODE((tmp_path / "v/a.txt").stat().st_mode) == 0o644


def test_items_paths_and_modes(tmp_path: Path) -> None:
    items = [{"key": "a.txt", "path": "deep/er/x", "mode": 0o600}, {"key": "b.txt", "path": "y"}]
    prepare(tmp_path, {"name": "v", "configMap": {"name": "cm", "items": items, "defaultMode": 0o440}})
    assert (tmp_path / "v/deep/er/x").read_bytes() == b"A"
    assert stat.S_IMODE((tmp_path / "v/deep/er/x").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "v/y").stat().st_mode) == 0o440


def test_secret_bytes_are_kept(tmp_path: Path) -> None:
    prepare(tmp_path, {"name": "v", "secret": {"secretName": "sec"}})
    assert read(tmp_path / "v") == {"key": b"\x00\x01"}


def test_projected(tmp_path: Path) -> None:
    sources = [
        {"serviceAccountToken": {"path": "token"}},
        {"serviceAccountToken": {"path": "other", "audience": "mine", "expirationSeconds": 600}},
        {"configMap": {"name": "cm", "items": [{"key": "a.txt", "path": "ca.crt"}]}},
        {"secret": {"name": "sec"}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    volume = {"name": "v", "projected": {"sources": sources}}
    assert token_requests(pod(volumes=[volume])) == set(TOKENS)
    assert set(of_volumes(pod(volumes=[volume]))) == set(FOUND)
    prepare(tmp_path, volume)
    want = {"token": b"tok", "other": b"tok2", "ca.crt": b"A", "key": b"\x00\x01", "namespace": b"default"}
    assert read(tmp_path / "v") == want
    assert stat.S_IMODE((tmp_path / "v/token").stat().st_mode) == 0o600


def test_downward_api(tmp_path: Path) -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}},
    ]
    prepare(tmp_path, {"name": "v", "downwardAPI": {"items": items}}, labels={"b": "2", "a": "1"})
    assert read(tmp_path / "v") == {"labels": b'a="1"\nb="2"', "cpu": b"2"}


def test_live_update_swaps_everything_at_once(tmp_path: Path) -> None:
    volume = {"name": "v", "configMap": {"name": "cm"}}
    assert prepare(tmp_path, volume) == ["v"]
    before = os.readlink(tmp_path / "v/..data")
    assert prepare(tmp_path, volume) == []
    assert os.readlink(tmp_path / "v/..data") == before
    assert prepare(tmp_path, volume, found={Ref("ConfigMap", "cm"): {"data": {"b.txt": "B2", "c.txt": "C"}}}) == ["v"]
    assert os.readlink(tmp_path / "v/..data") != before
    assert read(tmp_path / "v") == {"b.txt": b"B2", "c.txt": b"C"}
    assert sorted(p.name for p in (tmp_path / "v").iterdir() if p.is_symlink()) == ["..data", "b.txt", "c.txt"]
    assert not (tmp_path / "v" / before).exists()


def test_atomic_write_survives_a_crash_between_link_and_rename(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": File(b"1", 0o644)})
    (tmp_path / "..data_tmp").symlink_to("..nowhere")
    assert atomic.write(tmp_path, {"a": File(b"2", 0o644)})
    assert read(tmp_path) == {"a": b"2"}


@pytest.mark.parametrize(
    ("volume", "want"),
    [
        ({"configMap": {"name": "no"}}, 'configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'secret "no" not found'),
        ({"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}, "references non-existent config key: z"),
        ({"secret": {"secretName": "sec", "items": [{"key": "z", "path": "z"}]}}, "references non-existent secret key: z"),
        (
            {"hostPath": {"path": "/etc"}},
            "hostPath /etc is not allowed on this node: use emptyDir, or start the node with --allow-host-path",
        ),
        ({"persistentVolumeClaim": {"claimName": "c"}}, 'persistentvolumeclaim "c" not found'),
        (
            {"nfs": {"server": "x"}},
            "volumes of type nfs are not supported by this node: use emptyDir, configMap, secret, projected or a claim",
        ),
    ],
)
def test_what_cannot_be_set_up(tmp_path: Path, volume: Obj, want: str) -> None:
    with pytest.raises(VolumeError) as raised:
        prepare(tmp_path, {"name": "v", **volume})
    assert str(raised.value) == f'MountVolume.SetUp failed for volume "v" : {want}'


def test_optional_sources_make_empty_volumes(tmp_path: Path) -> None:
    prepare(
        tmp_path,
        {"name": "v", "configMap": {"name": "no", "optional": True}},
        {"name": "w", "secret": {"secretName": "no", "optional": True}},
    )
    assert read(tmp_path / "v") == read(tmp_path / "w") == {}


def mounts(directory: Path, *shown: Obj, env: Mapping[str, str] = {}, policy: Policy = STRICT, **volume: Any) -> list[Mount]:
    obj = pod(container(volumeMounts=[{"name": "v", **m} for m in shown]), volumes=[{"name": "v", **volume}])
    return volumes.mounts(obj, obj["spec"]["containers"][0], directory, env, policy, Claims({"c": directory / "claim"}))


def test_mounts(tmp_path: Path) -> None:
    v = str(tmp_path / "v")
    assert mounts(tmp_path, {"mountPath": "/m"}, emptyDir={}) == [Mount(target="/m", source=v)]
    assert mounts(tmp_path, {"mountPath": "/m", "readOnly": True}, emptyDir={}) == [Mount(target="/m", source=v, read_only=True)]
    assert mounts(tmp_path, {"mountPath": "/m"}, configMap={"name": "cm"}) == [Mount(target="/m", source=v, read_only=True)]
    claim = Mount(target="/m", source=str(tmp_path / "claim"))
    assert mounts(tmp_path, {"mountPath": "/m"}, persistentVolumeClaim={"claimName": "c"}) == [claim]


def test_memory_backed_volumes(tmp_path: Path) -> None:
    shm = {"medium": "Memory", "sizeLimit": "64Mi"}
    assert mounts(tmp_path, {"mountPath": "/dev/shm"}, emptyDir=shm) == [Mount(target="/dev/shm", size=64 * 2**20)]
    on_disk = Mount(target="/dev/shm", source=str(tmp_path / "v"))
    assert mounts(tmp_path, {"mountPath": "/dev/shm"}, emptyDir=shm, policy=Policy(tmpfs=False)) == [on_disk]


def test_sub_paths_are_made_and_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    shown = {"mountPath": "/m", "subPathExpr": "logs/$(NAME)"}
    assert mounts(tmp_path, shown, env={"NAME": "x"}, emptyDir={}) == [Mount(target="/m", source=str(tmp_path / "v/logs/x"))]
    assert (tmp_path / "v/logs/x").is_dir()
    (tmp_path / "v/out").symlink_to("/etc")
    with pytest.raises(VolumeError, match='subPath "out" leaves the volume'):
        mounts(tmp_path, {"mountPath": "/m", "subPath": "out"}, emptyDir={})


def test_sub_path_of_a_config_map_is_the_file_itself(tmp_path: Path) -> None:
    prepare(tmp_path, {"name": "v", "configMap": {"name": "cm"}})
    (found,) = mounts(tmp_path, {"mountPath": "/etc/a.txt", "subPath": "a.txt"}, configMap={"name": "cm"})
    assert Path(found.source).read_bytes() == b"A"
    assert not Path(found.source).is_symlink()


def test_host_paths_when_allowed(tmp_path: Path) -> None:
    policy = Policy(allow_host_path=True)
    prepare(tmp_path, {"name": "v", "hostPath": {"path": str(tmp_path / "new"), "type": "DirectoryOrCreate"}}, policy=policy)
    assert (tmp_path / "new").is_dir()
    with pytest.raises(VolumeError, match=r"hostPath type check failed: .*gone is not a directory"):
        prepare(tmp_path, {"name": "v", "hostPath": {"path": str(tmp_path / "gone"), "type": "Directory"}}, policy=policy)
