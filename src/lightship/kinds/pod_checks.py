"""What can be wrong with a pod or a pod template, and what a pod's update may not change.

Called through `pods.check_pod_spec` by every kind that holds a template, and by the Pod resource. Judges objects of the right types
after defaults. Contract: kube 1.36 ValidatePodSpec, ValidatePodUpdate; texts compared with kube-apiserver.
"""

import re
from collections.abc import Iterable, Iterator

from lightship.kinds import checking, gated_pods, pod_annotations
from lightship.kinds.container_checks import Surroundings, check_container, check_security_context
from lightship.kinds.placement_checks import check_placement
from lightship.kinds.resource_checks import check_resources
from lightship.kinds.volume_checks import check_volumes
from lightship.meta import codec, errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.names import Rule
from lightship.meta.objects import Obj, copy
from lightship.meta.patch import same

_DNS = frozenset({"hostAliases", "dnsConfig"})
_CONTAINER_POLICIES = ("Always", "Never", "OnFailure")
_NOT_FOR_DEBUGGERS = (
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
)
_SYSTEMS = ("linux", "windows")
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_SYSCTL_LENGTH = 253
_MUTABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)


def check_pod_spec(spec: Obj, path: str = "spec", pod: str | None = None) -> list[Cause]:
    """Everything wrong with the spec of a pod or template, which is at `path`; `pod` is the name of the pod, if it is one."""
    causes = check_volumes(f"{path}.volumes", spec, pod)
    causes += _check_containers(path, spec)
    causes += _check_names(path, spec)
    causes += check_placement(path, spec)
    if not _DNS.isdisjoint(spec) or spec.get("dnsPolicy") == "None":
        causes += _check_dns(path, spec)
    if spec.get("activeDeadlineSeconds") is not None:
        causes += checking.in_range(f"{path}.activeDeadlineSeconds", spec["activeDeadlineSeconds"], 1, checking.INT32_MAX)
    if context := spec.get("securityContext"):
        causes += check_security_context(f"{path}.securityContext", context)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        causes.append(errors.invalid_value(f"{path}.securityContext.shareProcessNamespace", True, why))
    causes += _check_sysctls(f"{path}.securityContext.sysctls", (spec.get("securityContext") or {}).get("sysctls") or ())
    if spec.get("resources"):
        causes += check_resources(f"{path}.resources", spec["resources"])
    system = (spec.get("os") or {}).get("name")
    if system and system not in _SYSTEMS:
        causes.append(errors.not_supported(f"{path}.os", system, _SYSTEMS))
    if spec.get("ephemeralContainers"):
        causes += _check_debuggers(f"{path}.ephemeralContainers", spec)
    for i, gate in enumerate(spec.get("readinessGates") or ()):
        causes += checking.check_name(f"{path}.readinessGates[{i}].conditionType", gate.get("conditionType") or "", "qualified")
    return causes


def _check_sysctls(path: str, sysctls: Iterable[Obj]) -> Iterator[Cause]:
    seen: set[str] = set()
    for i, sysctl in enumerate(sysctls):
        name = sysctl.get("name") or ""
        if not name:
            yield errors.required(f"{path}[{i}].name")
        elif len(name) > _SYSCTL_LENGTH or not _SYSCTL.fullmatch(name):
            why = f"must have at most {_SYSCTL_LENGTH} characters and match regex ^{_SYSCTL.pattern}$"
            yield errors.invalid_value(f"{path}[{i}].name", name, why)
        elif name in seen:
            yield errors.duplicate(f"{path}[{i}].name", name)
        seen.add(name)


def check_new_pod(pod: Obj) -> list[Cause]:
    spec, metadata = pod.get("spec") or {}, pod["metadata"]
    causes = pod_annotations.check("metadata.annotations", metadata.get("annotations"), spec)
    causes += check_pod_spec(spec, pod=metadata.get("name") or "")
    causes += pod_annotations.check_profiles("spec", metadata.get("annotations"), spec)
    if spec.get("ephemeralContainers"):
        causes.append(errors.forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
    return causes


def check_changed_pod(new: Obj, old: Obj) -> list[Cause]:
    """Containers' images, a shorter deadline, further tolerations and fewer gates; nothing else of a pod's spec ever changes."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    annotations = objects.annotations(new)
    causes = pod_annotations.check("metadata.annotations", annotations, spec)
    causes += pod_annotations.check_change(annotations, objects.annotations(old), spec)  # which complains again, as the real server does
    if spec == before:
        return causes  # types were judged, so no `True` passes for a 1
    causes += check_pod_spec(spec, pod=objects.name(new))
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(before.get(field) or ()):
            message = "pod updates may not add or remove containers"
            return [*causes, errors.forbidden_field(f"spec.{field}", message)]
        for i, container in enumerate(spec.get(field) or ()):
            if not container.get("image"):
                causes.append(errors.required(f"spec.{field}[{i}].image"))
    causes += _check_deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    causes += _check_more_tolerations(spec.get("tolerations") or [], before.get("tolerations") or [])
    causes += _check_fewer_gates(spec.get("schedulingGates") or [], before.get("schedulingGates") or [])
    expected = _with_mutable_fields(spec, before)
    if before.get("schedulingGates"):
        causes += gated_pods.check_placement(spec, before)
        gated_pods.with_placement(expected, before)
    if not causes and not same(expected, before):
        causes.append(
            errors.forbidden_field("spec", f"pod updates may not change fields other than {_MUTABLE}\n{_difference(expected, before)}")
        )
    return causes


def _with_mutable_fields(spec: Obj, before: Obj) -> Obj:
    """The new spec with everything that may change as it was before; equal to the old one when nothing else changed."""
    result: Obj = copy(spec)
    for field in ("containers", "initContainers"):
        for container, old in zip(result.get(field) or (), before.get(field) or (), strict=False):
            container["image"] = old.get("image")
    for field in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        result.pop(field, None)
        if field in before:
            result[field] = before[field]
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        result["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    return result


def _difference(new: Obj, old: Obj) -> str:
    """The fields that changed, old and new, a line each."""
    lines = []
    for field in sorted(new.keys() | old.keys()):
        if not same(new.get(field), old.get(field)):
            lines += [f"- {field}: {codec.encode(old.get(field)).decode()}", f"+ {field}: {codec.encode(new.get(field)).decode()}"]
    return "\n".join(lines)


def _check_deadline(new: int | None, old: int | None) -> list[Cause]:
    path = "spec.activeDeadlineSeconds"
    if new is not None:
        if not 0 <= new <= checking.INT32_MAX:
            return checking.in_range(path, new, 0, checking.INT32_MAX)
        if old is not None and old < new:
            return [errors.invalid_value(path, new, "must be less than or equal to previous value")]
    elif old is not None:
        return [errors.invalid_value(path, new, "must not update from a positive integer to nil value")]
    return []


def _check_more_tolerations(new: list[Obj], old: list[Obj]) -> list[Cause]:
    def identity(toleration: Obj) -> Obj:
        return {k: v for k, v in toleration.items() if k != "tolerationSeconds" and v}

    kept = [identity(t) for t in new]
    if any(identity(t) not in kept for t in old):
        return [errors.forbidden_field("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]
    return []


def _check_fewer_gates(new: list[Obj], old: list[Obj]) -> list[Cause]:
    added = [(i, gate.get("name")) for i, gate in enumerate(new) if gate not in old]
    why = "only deletion is allowed, but found new scheduling gate"
    return [errors.forbidden_field(f"spec.schedulingGates[{i}].name", f"{why} '{name}'") for i, name in added]


def _check_containers(path: str, spec: Obj) -> list[Cause]:
    containers, init = spec.get("containers") or [], spec.get("initContainers") or []
    causes = [] if containers else [errors.required(f"{path}.containers")]
    volumes = {v.get("name") for v in spec.get("volumes") or () if v.get("name")}
    claims = {c.get("name") for c in spec.get("resourceClaims") or ()}
    pod = Surroundings(volumes, claims, bool(spec.get("hostNetwork")))
    taken: set[str] = set()
    for field, listed in (("containers", containers), ("initContainers", init)):
        for i, container in enumerate(listed):
            at, name = f"{path}.{field}[{i}]", container.get("name")
            if name and name in taken:
                causes.append(errors.duplicate(f"{at}.name", name))
            taken.add(name or "")
            policy = container.get("restartPolicy")
            if policy and policy not in _CONTAINER_POLICIES:
                causes.append(errors.not_supported(f"{at}.restartPolicy", policy, _CONTAINER_POLICIES))
            ends = field == "initContainers" and policy != "Always"
            causes += check_container(at, container, pod._replace(init=True) if ends else pod)
    return causes + _check_host_ports(path, {"containers": containers, "initContainers": init})


def _check_debuggers(path: str, spec: Obj) -> list[Cause]:
    """Ephemeral containers, which have little of what other containers have."""
    others = {c.get("name") for field in ("containers", "initContainers") for c in spec.get(field) or ()}
    volumes = {v.get("name") for v in spec.get("volumes") or () if v.get("name")}
    claims = {c.get("name") for c in spec.get("resourceClaims") or ()}
    pod = Surroundings(volumes, claims, bool(spec.get("hostNetwork")))
    taken = set(others)
    why, causes = "cannot be set for an Ephemeral Container", list[Cause]()
    for i, container in enumerate(spec["ephemeralContainers"]):
        at, name, target = f"{path}[{i}]", container.get("name"), container.get("targetContainerName")
        causes += check_container(at, {k: v for k, v in container.items() if k not in _NOT_FOR_DEBUGGERS}, pod)
        if name in taken:
            causes.append(errors.duplicate(f"{at}.name", name))
        taken.add(name)
        if target and target not in others:
            causes.append(checking.not_found(f"{at}.targetContainerName", target))
        causes += [errors.forbidden_field(f"{at}.{f}", why) for f in _NOT_FOR_DEBUGGERS if container.get(f)]
        for j, mount in enumerate(container.get("volumeMounts") or ()):
            causes += [errors.forbidden_field(f"{at}.volumeMounts[{j}].{f}", why) for f in ("subPath", "subPathExpr") if mount.get(f)]
    return causes


def _check_host_ports(path: str, lists: dict[str, list[Obj]]) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    for field, listed in lists.items():
        for i, container in enumerate(listed):
            for j, port in enumerate(container.get("ports") or ()):
                if port.get("hostPort"):
                    text = f"{port.get('protocol') or 'TCP'}/{port.get('hostIP') or ''}/{port['hostPort']}"
                    if text in taken:
                        causes.append(errors.duplicate(f"{path}.{field}[{i}].ports[{j}].hostPort", text))
                    taken.add(text)
    return causes


def _check_names(path: str, spec: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for field, rule in _NAMES:
        value = spec.get(field)
        if value and not names.follows(value, rule):
            causes += checking.check_name(f"{path}.{field}", value, rule)
    return causes


def _check_dns(path: str, spec: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for i, alias in enumerate(spec.get("hostAliases") or ()):
        at = f"{path}.hostAliases[{i}]"
        causes += checking.ip_address(f"{at}.ip", alias.get("ip") or "")
        for j, name in enumerate(alias.get("hostnames") or ()):
            causes += checking.check_name(f"{at}.hostnames[{j}]", name, "subdomain")
    config = spec.get("dnsConfig")
    for i, server in enumerate((config or {}).get("nameservers") or ()):
        causes += checking.ip_address(f"{path}.dnsConfig.nameservers[{i}]", server)
    if spec.get("dnsPolicy") == "None":
        if config is None:
            causes.append(errors.required(f"{path}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None"))
        elif not config.get("nameservers"):
            why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            causes.append(errors.required(f"{path}.dnsConfig.nameservers", why))
    return causes


_NAMES: tuple[tuple[str, Rule], ...] = (
    ("hostname", "label"),
    ("subdomain", "label"),
    ("nodeName", "subdomain"),
    ("serviceAccountName", "subdomain"),
    ("priorityClassName", "subdomain"),
    ("runtimeClassName", "subdomain"),
)
