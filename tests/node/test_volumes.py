"""Volumes on disk: contents, modes, atomic updates, mounts."""

import base64
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.inputs import atomic, volumes
from lightship.node.inputs.atomic import File
from lightship.node.inputs.claims import Claims
from lightship.node.inputs.content import Inputs, TokenRequest, token_requests
from lightship.node.inputs.sources import Found, Ref, of_volumes
from lightship.node.inputs.volumes import Policy, VolumeError

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
    assert stat.S_IMODE((tmp_path / "v/token").stat().st_mode) == 0o644


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
        ({"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}, "configmap references non-existent config key: z"),
        ({"secret": {"secretName": "sec", "items": [{"key": "z", "path": "z"}]}}, "references non-existent secret key: z"),
        (
            {"hostPath": {"path": "/etc"}},
            "hostPath /etc is not allowed on this node: use emptyDir, or start the node with --allow-host-path",
        ),
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


def test_host_paths_when_allowed(tmp_path: Path) -> None:
    policy = Policy(allow_host_path=True)
    prepare(tmp_path, {"name": "v", "hostPath": {"path": str(tmp_path / "new"), "type": "DirectoryOrCreate"}}, policy=policy)
    assert (tmp_path / "new").is_dir()
    with pytest.raises(VolumeError, match=r"hostPath type check failed: .*gone is not a directory"):
        prepare(tmp_path, {"name": "v", "hostPath": {"path": str(tmp_path / "gone"), "type": "Directory"}}, policy=policy)


@pytest.mark.parametrize(
    ("kind", "make", "want"),
    [
        ("Directory", None, "is not a directory"),
        ("Directory", "file", "is not a directory"),
        ("DirectoryOrCreate", "file", "is not a directory"),
        ("File", None, "is not a file"),
        ("File", "directory", "is not a file"),
        ("Socket", "file", "is not a socket file"),
        ("CharDevice", "file", "is not a character device"),
        ("BlockDevice", "file", "is not a block device"),
        ("Nonsense", "file", ""),
        ("Directory", "directory", None),
        ("File", "file", None),
        ("", None, None),
        ("FileOrCreate", None, None),
    ],
)
def test_host_path_types(tmp_path: Path, kind: str, make: str | None, want: str | None) -> None:
    path = tmp_path / "there"
    if make == "file":
        path.touch()
    elif make:
        path.mkdir()
    volume = {"name": "v", "hostPath": {"path": str(path), "type": kind}}
    if want is None:
        prepare(tmp_path, volume, policy=Policy(allow_host_path=True))
        assert path.is_file() if "File" in kind else path.is_dir()
        return
    with pytest.raises(VolumeError) as raised:
        prepare(tmp_path, volume, policy=Policy(allow_host_path=True))
    text = f"hostPath type check failed: {path} {want}" if want else f"{kind} is an invalid volume type"
    assert str(raised.value) == f'MountVolume.SetUp failed for volume "v" : {text}'


@pytest.mark.parametrize(
    ("volume", "want"),
    [
        ({"emptyDir": {"medium": "HugePages"}}, "storage medium HugePages is not supported"),
        ({"gitRepo": {"repository": "x"}}, "git-repo volume plugin has been disabled"),
        ({"csi": {"driver": "d.example"}}, "driver name d.example not found in the list of registered CSI drivers"),
        ({"iscsi": {}}, "volumes of type iscsi are not supported"),
        ({"projected": {"sources": [{"podCertificate": {}}]}}, "projections of type podCertificate are not supported"),
        (
            {"projected": {"sources": [{"configMap": {"name": "no"}}, {"secret": {"name": "none"}}]}},
            '[configmap "no" not found, secret "none" not found]',
        ),
    ],
)
def test_kinds_that_are_refused(tmp_path: Path, volume: Obj, want: str) -> None:
    with pytest.raises(VolumeError) as raised:
        prepare(tmp_path, {"name": "v", **volume})
    assert want in str(raised.value)


def test_one_volume_that_fails_keeps_no_other_from_its_update(tmp_path: Path) -> None:
    listed = [{"name": "gone", "configMap": {"name": "no"}}, {"name": "v", "configMap": {"name": "cm"}}]
    with pytest.raises(VolumeError) as raised:
        prepare(tmp_path, *listed, {"name": "w", "nfs": {}})
    assert len(raised.value.problems) == 2
    assert read(tmp_path / "v") == {"a.txt": b"A", "b.txt": b"B"}


def test_a_source_that_vanishes_leaves_the_content_and_comes_back(tmp_path: Path) -> None:
    volume = {"name": "v", "configMap": {"name": "cm"}}
    prepare(tmp_path, volume)
    with pytest.raises(VolumeError):
        prepare(tmp_path, volume, found={})
    assert read(tmp_path / "v") == {"a.txt": b"A", "b.txt": b"B"}
    prepare(tmp_path, volume, found={Ref("ConfigMap", "cm"): {"data": {"a.txt": "again"}}})
    assert read(tmp_path / "v") == {"a.txt": b"again"}


def test_an_optional_source_that_vanishes_empties_the_volume(tmp_path: Path) -> None:
    volume = {"name": "v", "configMap": {"name": "cm", "optional": True}}
    prepare(tmp_path, volume)
    prepare(tmp_path, volume, found={})
    assert read(tmp_path / "v") == {}


def test_modes_may_be_zero_and_files_are_readable_by_the_group(tmp_path: Path) -> None:
    items = [{"key": "a.txt", "path": "a", "mode": 0}, {"key": "b.txt", "path": "b/c"}]
    volume = {"name": "v", "configMap": {"name": "cm", "items": items, "defaultMode": 0o400}}
    prepare(tmp_path, volume)
    assert [stat.S_IMODE((tmp_path / "v" / p).stat().st_mode) for p in ("a", "b/c")] == [0, 0o400]
    obj = pod(securityContext={"fsGroup": os.getgid()}, volumes=[volume])
    grouped = Inputs(
        pod=obj, found=FOUND, tokens={}, host_ip="", pod_ip="", allocatable={}, owner=volumes.owner(obj, Policy(ids=volumes.EVERYBODY))
    )
    volumes.prepare(tmp_path, grouped, STRICT, NO_CLAIMS)
    assert [stat.S_IMODE((tmp_path / "v" / p).stat().st_mode) for p in ("a", "b/c", "b", ".")] == [0o440, 0o440, 0o2755, 0o2777]
    assert volumes.prepare(tmp_path, grouped, STRICT, NO_CLAIMS) == []


def test_mount_points_of_other_volumes_survive_updates(tmp_path: Path) -> None:
    mounts = [{"name": "v", "mountPath": "/c"}, {"name": "w", "mountPath": "/c/inner/most"}]
    listed = [{"name": "v", "configMap": {"name": "cm"}}, {"name": "w", "emptyDir": {}}]
    obj = pod(container(volumeMounts=mounts), volumes=listed)
    for data in ({"a": "1"}, {"b": "2"}):
        found = {Ref("ConfigMap", "cm"): {"data": data}}
        inputs = Inputs(pod=obj, found=found, tokens={}, host_ip="", pod_ip="", allocatable={})
        volumes.prepare(tmp_path, inputs, STRICT, NO_CLAIMS)
        assert (tmp_path / "v/inner/most").is_dir()
        assert set(read(tmp_path / "v")) == set(data)


def test_a_write_that_fails_leaves_the_old_files_and_no_rest(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": File(b"1", 0o644)})
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(OSError, match="Not a directory"):
        atomic.write(tmp_path, {"a": File(b"2", 0o644), "a/b": File(b"3", 0o644)})
    assert sorted(os.listdir(tmp_path)) == before
    assert read(tmp_path) == {"a": b"1"}


def test_what_an_interrupted_write_left_is_swept_away(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": File(b"1", 0o644)})
    (tmp_path / "..half").mkdir()
    (tmp_path / "..half/a").write_text("half")
    (tmp_path / "a").unlink()
    assert atomic.write(tmp_path, {"a": File(b"1", 0o644)}), "a name that is not shown is no whole volume"
    assert len(os.listdir(tmp_path)) == 3
    assert read(tmp_path) == {"a": b"1"}


def test_empty_directories_are_everybodys_and_stay_what_they_became(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        prepare(tmp_path, {"name": "v", "emptyDir": {}})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "v").stat().st_mode) == 0o777
    (tmp_path / "v").chmod(0o700)
    prepare(tmp_path, {"name": "v", "emptyDir": {}})
    assert stat.S_IMODE((tmp_path / "v").stat().st_mode) == 0o700
