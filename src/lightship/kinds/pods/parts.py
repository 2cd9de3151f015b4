"""Writes to the subresources of a Pod that are views of it: debug containers that are added, resources that change in place, the status.

Called by the server through the parts of `kinds.PODS`. Each takes from what was sent only what is its own.
Contract: kube-apiserver 1.36 pkg/registry/core/pod strategy, ValidatePodEphemeralContainersUpdate, ValidatePodResize,
ValidatePodStatusUpdate; texts as kube-apiserver's.
"""

from lightship.kinds import ip_checks, pods
from lightship.kinds.checking import check_name, immutable
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import annotations as pod_annotations
from .checks import check_pod_spec
from .defaults import default_pod

_MIRROR = "kubernetes.io/config.mirror"
_RESIZED = ("resources", "resizePolicy")
_COMPUTE = ("cpu", "memory")
_KNOWN_CONDITIONS = frozenset(
    {"PodScheduled", "Ready", "Initialized", "ContainersReady", "PodReadyToStartContainers", "DisruptionTarget", "PodResizePending"}
)
"""Types whose names need no look; those of others must be qualified names."""


def default(pod: Obj, old: Obj | None) -> None:
    """What was added has the defaults of its kind."""
    default_pod(pod)


def merge_debuggers(new: Obj, old: Obj) -> Obj:
    """The stored pod with the ephemeral containers that were sent."""
    spec = {k: v for k, v in objects.spec(old).items() if k != "ephemeralContainers"}
    sent = objects.spec(new).get("ephemeralContainers")
    return _kept(new, old, {**spec, "ephemeralContainers": sent} if sent else spec)


def merge_resize(new: Obj, old: Obj) -> Obj:
    """The stored pod with the resources that were sent; as it was sent where the containers are others, which validation tells."""
    spec, before = objects.spec(new), objects.spec(old)
    lists = {}
    for field in ("containers", "initContainers"):
        sent, stored = spec.get(field) or [], before.get(field) or []
        if len(sent) != len(stored):
            return new
        names = [(s.get("name"), o.get("name")) for s, o in zip(sent, stored, strict=True)]
        if stored:
            lists[field] = sent if any(a != b for a, b in names) else [_resized(s, o) for s, o in zip(sent, stored, strict=True)]
    merged = {**before, **lists}
    merged.pop("resources", None)
    if "resources" in spec:
        merged["resources"] = spec["resources"]
    return _kept(new, old, merged)


def _resized(sent: Obj, stored: Obj) -> Obj:
    rest = {k: v for k, v in stored.items() if k not in _RESIZED}
    return {**rest, **{field: sent[field] for field in _RESIZED if field in sent}}


def _kept(new: Obj, old: Obj, spec: Obj) -> Obj:
    """Metadata is not touched, but the version that the client means still counts."""
    metadata = {**old["metadata"], **{f: new["metadata"][f] for f in ("resourceVersion", "managedFields") if f in new["metadata"]}}
    return {**old, "metadata": metadata, "spec": spec}


def validate_debuggers(new: Obj, old: Obj | None) -> list[Cause]:
    assert old is not None
    if _MIRROR in objects.annotations(old):
        return [errors.forbidden_field("", "static pods do not support ephemeral containers")]
    causes = check_pod_spec(objects.spec(new), pod=objects.name(new))
    sent = {c.get("name"): c for c in objects.spec(new).get("ephemeralContainers") or ()}
    for container in objects.spec(old).get("ephemeralContainers") or ():
        name = container.get("name")
        if name not in sent:
            causes.append(
                errors.forbidden_field("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be removed\n')
            )
        elif not same(container, sent[name]):
            why = f'existing ephemeral containers "{name}" may not be changed\n'
            causes.append(errors.forbidden_field("spec.ephemeralContainers", why))
    return causes


def validate_resize(new: Obj, old: Obj | None) -> list[Cause]:
    assert old is not None
    spec, before = objects.spec(new), objects.spec(old)
    if _MIRROR in objects.annotations(old):
        return [errors.forbidden_field("", "static pods cannot be resized")]
    if (before.get("os") or {}).get("name") == "windows":
        return [errors.forbidden_field("", "windows pods cannot be resized")]
    causes = check_pod_spec(spec, pod=objects.name(new))
    status = objects.status(old)
    if (status.get("qosClass") or pods.qos_class(old)) != pods.qos_class(new):
        why = "Pod QOS Class may not change as a result of resizing"
        causes.append(errors.invalid_value("spec", status.get("qosClass") or "", why))
    running = next((c for c in status.get("containerStatuses") or () if (c.get("state") or {}).get("running") is not None), None)
    if running is not None and running.get("resources") is None:
        causes.append(errors.forbidden_field("spec", "Pod running on node without support for resize"))
    order = [c for field in ("containers", "initContainers") for c in _check_order(field, spec, before)]
    if order:
        return causes + order
    causes += _check_containers(spec, before)
    rest = ("containers", "initContainers", "resources")
    if not causes and any(not same(spec.get(f), before.get(f)) for f in (spec.keys() | before.keys()) - set(rest)):
        causes.append(errors.forbidden_field("spec", "only cpu and memory resources are mutable"))
    return causes


def _check_order(field: str, spec: Obj, before: Obj) -> list[Cause]:
    new, old = spec.get(field) or [], before.get(field) or []
    if len(new) != len(old):
        return [errors.forbidden_field(f"spec.{field}", f"{field} may not be added or removed on resize")]
    renamed = [i for i, container in enumerate(old) if new[i].get("name") != container.get("name")]
    why = f"{field} may not be renamed or reordered on resize"
    return [errors.forbidden_field(f"spec.{field}[{i}].name", why) for i in renamed]


def _check_containers(spec: Obj, before: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for i, old in enumerate(before.get("initContainers") or ()):
        new = spec["initContainers"][i]
        if pods.is_sidecar(old):
            causes += _check_removed(f"spec.initContainers[{i}].resources", new, old)
    for i, old in enumerate(before.get("containers") or ()):
        causes += _check_removed(f"spec.containers[{i}].resources", spec["containers"][i], old)
    for i, old in enumerate(before.get("containers") or ()):
        if not _differs_in_compute_alone(spec["containers"][i], old):
            causes.append(errors.forbidden_field("spec", "only cpu and memory resources are mutable"))
    for i, old in enumerate(before.get("initContainers") or ()):
        new = spec["initContainers"][i]
        if pods.is_sidecar(old) and not _differs_in_compute_alone(new, old):
            why = "only cpu and memory resources for init or sidecar containers are mutable"
            causes.append(errors.forbidden_field(f"spec.initContainers[{i}]", why))
        elif not pods.is_sidecar(old) and not same(new, old):
            causes.append(errors.forbidden_field("spec", "resources for non-sidecar init containers are immutable"))
    return causes


def _check_removed(path: str, new: Obj, old: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("requests", "limits"):
        had, has = (old.get("resources") or {}).get(field) or {}, (new.get("resources") or {}).get(field) or {}
        if not had.keys() <= has.keys():
            causes.append(errors.forbidden_field(f"{path}.{field}", f"resource {field} cannot be removed"))
    return causes


def _differs_in_compute_alone(new: Obj, old: Obj) -> bool:
    resources, before = new.get("resources") or {}, old.get("resources") or {}
    munged: Obj = {}
    for field in ("limits", "requests"):
        had = before.get(field) or {}
        listed = {k: v for k, v in (resources.get(field) or {}).items() if k not in _COMPUTE}
        listed |= {k: had[k] for k in _COMPUTE if k in had}
        if listed:
            munged[field] = listed
    kept = {field: value for field, value in before.items() if field in ("limits", "requests") and value}
    rest = {k: v for k, v in new.items() if k != "resources"}
    return same(munged, kept) and same(rest, {k: v for k, v in old.items() if k != "resources"})


# status -----------------------------------------------------------------------------------------------------------------------------


def prepare_status(pod: Obj, old: Obj | None) -> None:
    """Which generation was seen is not forgotten by those who do not know of it."""
    before = objects.status(old or {})
    if "observedGeneration" in before and pod.get("status") is not None and not pod["status"].get("observedGeneration"):
        pod["status"]["observedGeneration"] = before["observedGeneration"]
    seen = {c.get("type"): c["observedGeneration"] for c in before.get("conditions") or () if c.get("observedGeneration")}
    if seen:
        for condition in objects.status(pod).get("conditions") or ():
            if not condition.get("observedGeneration") and condition.get("type") in seen:
                condition["observedGeneration"] = seen[condition["type"]]


def validate_status(pod: Obj, old: Obj | None) -> list[Cause]:
    assert old is not None
    status, before, spec = objects.status(pod), objects.status(old), objects.spec(old)
    causes = pod_annotations.check_change(objects.annotations(pod), objects.annotations(old), spec)
    for i, condition in enumerate(status.get("conditions") or ()):
        if condition.get("type") not in _KNOWN_CONDITIONS:
            causes += check_name(f"status.conditions[{i}].Type", condition.get("type") or "", "qualified")
        if (condition.get("observedGeneration") or 0) < 0:
            path = f"status.conditions[{i}].observedGeneration"
            causes.append(errors.invalid_value(path, condition["observedGeneration"], "must be a non-negative integer"))
    causes += _check_nominated(status.get("nominatedNodeName") or "", before.get("nominatedNodeName") or "", spec)
    if (status.get("observedGeneration") or 0) < 0:
        why = "must be a non-negative integer"
        causes.append(errors.invalid_value("status.observedGeneration", status["observedGeneration"], why))
    causes += immutable("status.qosClass", status.get("qosClass"), before.get("qosClass"))
    for field, containers in (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")):
        if before.get(field):
            causes += _check_transitions(field, status, before, spec, spec.get(containers) or [])
    if claims := status.get("resourceClaimStatuses"):
        causes += _check_claims("status.resourceClaimStatuses", claims, {c.get("name") for c in spec.get("resourceClaims") or ()})
    if (extended := status.get("extendedResourceClaimStatus")) is not None:
        causes += _check_extended("status.extendedResourceClaimStatus", extended, spec)
    return causes + _check_addresses(status, before)


def _check_claims(path: str, statuses: list[Obj], claims: set[str | None]) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, status in enumerate(statuses):
        name = status.get("name") or ""
        if name not in claims:
            why = "must match the name of an entry in `spec.resourceClaims`"
            causes.append(errors.invalid_value(f"{path}[{i}].name", name, why))
        if name in taken:
            causes.append(errors.duplicate(f"{path}[{i}].name", name))
        taken.add(name)
        if status.get("resourceClaimName") is not None:
            causes += check_name(f"{path}[{i}].resourceClaimName", status["resourceClaimName"], "subdomain")
    return causes


def _check_extended(path: str, status: Obj, spec: Obj) -> list[Cause]:
    """Which request of the claim that was made for it stands for which extended resource of which container."""
    mappings, at = status.get("requestMappings") or [], f"{path}.requestMappings"
    causes = [] if mappings else [errors.required(at, "at least one request mapping is required")]
    containers = {c.get("name"): c for field in ("initContainers", "containers") for c in spec.get(field) or ()}
    taken: set[tuple[str, ...]] = set()
    for i, mapping in enumerate(mappings):
        fields = ("containerName", "resourceName", "requestName")
        key = tuple(mapping.get(field) or "" for field in fields)
        container = containers.get(key[0])
        if container is None:
            why = "must match the name of an entry in spec.initContainers.name or spec.containers.name"
            causes.append(errors.invalid_value(f"{at}[{i}].containerName", key[0], why))
        elif key[1] not in ((container.get("resources") or {}).get("requests") or {}):
            why = "must match the extended resource name of an entry in spec.initContainers.resources.requests or"
            causes.append(errors.invalid_value(f"{at}[{i}].resourceName", key[1], f"{why} spec.containers.resources.requests"))
        causes += check_name(f"{path}.requestName", key[2], "label")
        if key in taken:
            causes += [errors.duplicate(f"{at}[{i}].{field}", value) for field, value in zip(fields, key, strict=True)]
        taken.add(key)
    name = status.get("resourceClaimName")
    return causes + (check_name(f"{path}.resourceClaimName", name, "subdomain") if name else [errors.required(f"{path}.resourceClaimName")])


def _check_nominated(name: str, before: str, spec: Obj) -> list[Cause]:
    if not name or name == before:
        return []
    path = "status.nominatedNodeName"
    causes = check_name(path, name, "subdomain")
    if spec.get("nodeName"):
        causes.append(errors.forbidden_field(path, "may not be set on pods that are already bound to a node"))
    return causes


def _check_transitions(field: str, status: Obj, before: Obj, spec: Obj, containers: list[Obj]) -> list[Cause]:
    """What has ended for good does not run again."""
    ended = [(i, s) for i, s in enumerate(before[field]) if (s.get("state") or {}).get("terminated") is not None]
    if not ended:
        return []
    now = {s.get("name"): s for s in status.get(field) or ()}
    declared = {c.get("name"): c for c in containers}
    causes: list[Cause] = []
    for i, old in ended:
        name, code = old.get("name"), old["state"]["terminated"].get("exitCode") or 0
        if name in now and (now[name].get("state") or {}).get("terminated") is None:
            container = declared.get(name)
            if container is None or not _restarts(container, spec, code):
                causes.append(errors.forbidden_field(f"status.{field}[{i}].state", "may not be transitioned to non-terminated state"))
    return causes


def _restarts(container: Obj, spec: Obj, code: int) -> bool:
    policy = container.get("restartPolicy")
    if policy:
        for rule in container.get("restartPolicyRules") or ():
            codes = rule.get("exitCodes") or {}
            if (code in (codes.get("values") or ())) is (codes.get("operator") == "In"):
                return bool(rule.get("action") == "Restart")
    policy = policy or spec.get("restartPolicy") or "Always"
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def _check_addresses(status: Obj, before: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("podIPs", "hostIPs"):
        listed = status.get(field) or ()
        if not listed or listed == before.get(field):
            continue
        had = [a.get("ip") or "" for a in before.get(field) or ()]
        found = [a.get("ip") or "" for a in listed]
        if field == "hostIPs" and (status.get("hostIP") or "") != found[0]:
            causes.append(errors.invalid_value("status.hostIPs[0].ip", found[0], "must be equal to `hostIP`"))
        causes += [c for i, a in enumerate(found) for c in ip_checks.legacy_ip(f"status.{field}[{i}]", a, had)]
        if len(found) > 1 and sorted(":" in a for a in found) != [False, True]:
            shown = [{"IP": a} for a in found]
            causes.append(errors.invalid_value(f"status.{field}", shown, "may specify no more than one IP for each IP family"))
    return causes
