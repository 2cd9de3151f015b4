"""The members of a StatefulSet: what the pod of an ordinal is called and looks like, and the claims that it has.

Pure; asked by `sync`. Contract: Kubernetes 1.36 statefulset controller; labels `apps.kubernetes.io/pod-index`,
`statefulset.kubernetes.io/pod-name`, `controller-revision-hash`.
"""

import re

from lightship.builtin import podtemplate
from lightship.builtin.history import HASH
from lightship.meta import objects
from lightship.meta.objects import Obj

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
_MEMBER = re.compile(r"(.*)-([0-9]{1,9})", re.DOTALL)


def is_member(owner: Obj, pod: Obj) -> bool:
    """Does a pod's name make it one of the owner's?"""
    found = _MEMBER.fullmatch(objects.name(pod))
    return found is not None and found[1] == objects.name(owner)


def ordinal(pod: Obj) -> int:
    """-1 for a pod without one."""
    found = _MEMBER.fullmatch(objects.name(pod))
    return int(found[2]) if found else -1


def replicas(owner: Obj) -> int:
    given = objects.spec(owner).get("replicas")
    return 1 if given is None else int(given)


def first(owner: Obj) -> int:
    """The first ordinal."""
    return int((objects.spec(owner).get("ordinals") or {}).get("start") or 0)


def is_wanted(owner: Obj, pod: Obj) -> bool:
    """Is its ordinal one of those that there shall be?"""
    return 0 <= ordinal(pod) - first(owner) < replicas(owner)


def build(owner: Obj, template: Obj, number: int, revision_name: str) -> Obj:
    """The pod of an ordinal, of the template that a revision has kept."""
    name = f"{objects.name(owner)}-{number}"
    pod = podtemplate.build(owner, template, name, podtemplate.prefix_of(owner))
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["labels"] = {**(metadata.get("labels") or {}), POD_NAME: name, POD_INDEX: str(number), HASH: revision_name}
    spec["hostname"] = name
    spec["subdomain"] = objects.spec(owner).get("serviceName") or ""
    own = claims(owner, number)
    volumes = [{"name": volume, "persistentVolumeClaim": {"claimName": objects.name(claim)}} for volume, claim in own.items()]
    spec["volumes"] = volumes + [volume for volume in spec.get("volumes") or () if volume.get("name") not in own]
    return pod


def identity(pod: Obj) -> dict[str, str]:
    """Labels that a member should have and has not."""
    wanted = {POD_NAME: objects.name(pod), POD_INDEX: str(ordinal(pod))}
    return {} if objects.labels(pod).get(POD_NAME) == objects.name(pod) else wanted


def claims(owner: Obj, number: int) -> dict[str, Obj]:
    """The claims of an ordinal, by the name of their volume."""
    selected = objects.get_path(owner, "spec", "selector", "matchLabels") or {}
    return {objects.name(template): _claim(owner, template, number, selected) for template in _templates(owner)}


def _claim(owner: Obj, template: Obj, number: int, selected: dict[str, str]) -> Obj:
    metadata = objects.copy(objects.meta(template))
    metadata |= {
        "name": f"{objects.name(template)}-{objects.name(owner)}-{number}",
        "namespace": objects.namespace(owner),
        "labels": {**objects.labels(template), **selected},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": objects.copy(template.get("spec") or {})}


def _templates(owner: Obj) -> list[Obj]:
    return objects.spec(owner).get("volumeClaimTemplates") or []
