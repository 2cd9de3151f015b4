"""Where claims have their data, and the words when they have none here."""

from pathlib import Path
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.inputs import claims
from lightship.node.inputs.claims import ClaimError, Found

from .make import UID, pod

MOUNTED = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
POD = pod(volumes=[MOUNTED])


def claim(meta: Obj | None = None, status: Obj | None = None, **spec: Any) -> Obj:
    return {
        "metadata": {"name": "c", "namespace": "default", "uid": "u1", **(meta or {})},
        "spec": {"volumeName": "pv", "accessModes": ["ReadWriteOnce"], **spec},
        "status": status or {"phase": "Bound"},
    }


def volume(meta: Obj | None = None, **spec: Any) -> Obj:
    reference = {"namespace": "default", "name": "c", "uid": "u1"}
    return {"metadata": {"name": "pv", **(meta or {})}, "spec": {"accessModes": ["ReadWriteOnce"], "claimRef": reference, **spec}}


OURS = {"annotations": {claims.PROVISIONED_BY: claims.PROVISIONER}}


def refusal(bound: Obj | None, of: Obj | None, *, obj: Obj = POD, allow: bool = True, in_use: bool = False) -> str:
    with pytest.raises(ClaimError) as raised:
        claims.place(obj, "c", Found("v", of, bound, in_use), allow_host_path=allow)
    return str(raised.value)


def test_directories(tmp_path: Path) -> None:
    for bound, allow in (
        (volume(OURS, hostPath={"path": str(tmp_path / "new")}), False),
        (volume(hostPath={"path": str(tmp_path), "type": "Directory"}), True),
        (volume(local={"path": str(tmp_path)}), True),
    ):
        found = claims.place(POD, "c", Found("v", claim(), bound), allow_host_path=allow)
        assert str(found) == (bound["spec"].get("hostPath") or bound["spec"].get("local"))["path"]
        assert found.is_dir()


UNBOUND = "found PV object pv but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
UNPROCESSED = "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process volumes=[v]: "


@pytest.mark.parametrize(
    ("of", "bound", "want"),
    [
        (None, None, 'error processing PVC default/c: failed to fetch PVC from API server: persistentvolumeclaims "c" not found'),
        (claim({"deletionTimestamp": "x"}), volume(), "error processing PVC default/c: PVC is being deleted"),
        (claim(status={"phase": "Pending"}), None, "error processing PVC default/c: PVC is not bound"),
        (claim(volumeName=""), None, "error processing PVC default/c: PVC has empty pvc.Spec.VolumeName"),
        (
            claim(),
            None,
            'error processing PVC default/c: failed to fetch PV pv from API server: persistentvolumes "pv" not found',
        ),
        (
            claim(),
            volume(claimRef=None),
            f"error processing PVC default/c: {UNBOUND}",
        ),
        (
            claim({"uid": "u2"}),
            volume(),
            "error processing PVC default/c: found PV object pv but its pv.Spec.ClaimRef.UID u1 does not point to claim.UID u2",
        ),
        (
            claim(),
            volume(volumeMode="Block"),
            "volume v has volumeMode Block, but is specified in volumeMounts: this node has no block devices",
        ),
    ],
)
def test_claims_that_are_not_ready(of: Obj | None, bound: Obj | None, want: str) -> None:
    assert refusal(bound, of) == UNPROCESSED + want


def test_a_protected_claim_is_mounted_until_its_pods_are_gone(tmp_path: Path) -> None:
    protected = claim({"deletionTimestamp": "x", "finalizers": ["kubernetes.io/pvc-protection"]})
    assert claims.place(POD, "c", Found("v", protected, volume(local={"path": str(tmp_path)})), allow_host_path=True) == tmp_path


@pytest.mark.parametrize(
    ("spec", "allow", "want"),
    [
        ({"hostPath": {"path": "/etc"}}, False, "hostPath /etc is not allowed on this node: use emptyDir, or start the node with"),
        (
            {"hostPath": {"path": "/etc/hostname", "type": "Directory"}},
            True,
            "hostPath type check failed: /etc/hostname is not a directory",
        ),
        ({"local": {"path": "/etc"}}, False, "local path /etc is not allowed on this node: start it with --allow-host-path"),
        ({"local": {"path": "/not/there"}}, True, 'path "/not/there" does not exist'),
        ({"nfs": {"server": "s"}, "storageClassName": "x"}, True, "volumes of type nfs are not supported by this node: use a claim of"),
        ({"volumeMode": "Filesystem", "csi": {"driver": "d"}}, True, "volumes of type csi are not supported by this node: use a claim of"),
    ],
)
def test_volumes_that_are_not_mounted_here(spec: Obj, allow: bool, want: str) -> None:
    assert refusal(volume(**spec), claim(), allow=allow).startswith(f'MountVolume.SetUp failed for volume "pv" : {want}')


def test_a_volume_for_one_pod_alone(tmp_path: Path) -> None:
    alone = volume(local={"path": str(tmp_path)}, accessModes=["ReadWriteOncePod"])
    want = 'MountVolume failed for volume "pv" : volume uses the ReadWriteOncePod access mode and is already in use by another pod'
    assert refusal(alone, claim(), in_use=True) == want
    first = pod(meta={"uid": "a", "creationTimestamp": "2023-01-01T00:00:00Z"}, volumes=[MOUNTED], status={"phase": "Running"})
    later = pod(meta={"uid": "b", "creationTimestamp": "2023-01-01T00:00:01Z"}, volumes=[MOUNTED])
    ended = pod(meta={"uid": "c", "creationTimestamp": "2022-01-01T00:00:00Z"}, volumes=[MOUNTED], status={"phase": "Succeeded"})
    elsewhere = {**first, "spec": {**first["spec"], "nodeName": "n2"}}
    assert claims.shared(later, "c", [first, later])
    assert not claims.shared(first, "c", [first, later])
    assert not claims.shared(later, "c", [ended, elsewhere])
    assert not claims.shared(later, "d", [first])


def test_ephemeral_volumes_are_claims_of_their_pod(tmp_path: Path) -> None:
    obj = pod(volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}])
    assert [name for _, name in claims.of(obj)] == ["p-v"]
    bound = volume(local={"path": str(tmp_path)})
    owners = [{"kind": "Pod", "name": "p", "uid": UID, "controller": True}]
    assert claims.place(obj, "p-v", Found("v", claim({"ownerReferences": owners}), bound), allow_host_path=True) == tmp_path
    with pytest.raises(ClaimError) as raised:
        claims.place(obj, "p-v", Found("v", claim(), bound), allow_host_path=True)
    assert str(raised.value) == UNPROCESSED + "PVC default/p-v was not created for pod default/p (pod is not owner)"
