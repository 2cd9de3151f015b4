"""What can be wrong with a container: names, image, ports, environment, mounts, probes.

Called by `pod_checks` for each container, with what it must know of the pod. Required strings and enums are judged by the schema and not
repeated here. Contract: kube 1.36 pkg/apis/core/validation; texts compared with kube-apiserver.
"""

from collections.abc import Collection
from typing import NamedTuple

from lightship.kinds import checking
from lightship.kinds.downward_checks import field_ref, resource_field_ref
from lightship.kinds.resource_checks import check_resources
from lightship.meta import errors, names
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_RARE = frozenset({"envFrom", "volumeDevices", "lifecycle", *_PROBES})
"""Fields that few containers have."""
_MORE_THAN_ONE = "may not have more than one field specified at a time"


class Surroundings(NamedTuple):
    """What a container's rules must know of its pod."""

    volumes: Collection[str]
    claims: Collection[str]
    host_network: bool
    init: bool = False
    """An init container that is meant to end."""


def check_container(path: str, container: Obj, pod: Surroundings) -> list[Cause]:
    causes: list[Cause] = []
    name, image = container.get("name"), container.get("image") or ""
    if name and not names.follows(name, "label"):
        causes += checking.check_name(f"{path}.name", name, "label")
    if not image or image != image.strip():
        causes += _check_image(f"{path}.image", image)
    if ports := container.get("ports"):
        causes += _check_ports(f"{path}.ports", ports, host_network=pod.host_network)
    for i, variable in enumerate(container.get("env") or ()):
        if variable.get("valueFrom") is not None or not names.follows(variable.get("name") or "", "env"):
            causes += _check_variable(f"{path}.env[{i}]", variable)
    if mounts := container.get("volumeMounts"):
        causes += _check_mounts(f"{path}.volumeMounts", mounts, pod)
    if not _RARE.isdisjoint(container):
        causes += _check_rare(path, container, pod)
    if resources := container.get("resources"):
        causes += check_resources(f"{path}.resources", resources, pod.claims)
    if context := container.get("securityContext"):
        causes += check_security_context(f"{path}.securityContext", context)
    return causes


def _check_rare(path: str, container: Obj, pod: Surroundings) -> list[Cause]:
    causes: list[Cause] = []
    for i, source in enumerate(container.get("envFrom") or ()):
        causes += _check_env_from(f"{path}.envFrom", i, source)
    causes += _check_devices(f"{path}.volumeDevices", container.get("volumeDevices") or [], pod)
    causes += _check_probes(path, container, pod)
    for hook in ("postStart", "preStop"):
        handler = (container.get("lifecycle") or {}).get(hook)
        if handler is not None:
            causes += _check_handler(f"{path}.lifecycle.{hook}", handler)
    return causes


def _check_image(path: str, image: str) -> list[Cause]:
    if not image:
        return [errors.required(path)]
    return [errors.invalid_value(path, image, "must not have leading or trailing whitespace")] if image != image.strip() else []


def _check_ports(path: str, ports: list[Obj], *, host_network: bool) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, port in enumerate(ports):
        at = f"{path}[{i}]"
        name = port.get("name")
        if name:
            if name in taken or not names.follows(name, "port"):
                causes += checking.check_name(f"{at}.name", name, "port") or [errors.duplicate(f"{at}.name", name)]
            taken.add(name)
        number = port.get("containerPort")
        if not number:
            causes.append(errors.required(f"{at}.containerPort"))
        elif not 1 <= number <= 65535:
            causes += checking.port_number(f"{at}.containerPort", number)
        host = port.get("hostPort")
        if host:
            causes += checking.port_number(f"{at}.hostPort", host)
            if host_network and host != port.get("containerPort"):
                causes.append(errors.invalid_value(f"{at}.hostPort", host, "must match `containerPort` when `hostNetwork` is true"))
    return causes


def _check_variable(path: str, variable: Obj) -> list[Cause]:
    name = variable.get("name")
    causes = checking.check_name(f"{path}.name", name, "env") if name else []
    source = variable.get("valueFrom")
    if source is None:
        return causes
    at = f"{path}.valueFrom"
    given = [kind for kind in _SOURCES if source.get(kind) is not None]
    if "fieldRef" in given:
        causes += field_ref(f"{at}.fieldRef", source["fieldRef"], _ENV_FIELDS)
    if "resourceFieldRef" in given:
        causes += resource_field_ref(f"{at}.resourceFieldRef", source["resourceFieldRef"])
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in given:
            causes += _check_key_ref(f"{at}.{kind}", source[kind])
    if variable.get("value"):
        if given:
            causes.append(errors.invalid_value(at, "", "may not be specified when `value` is not empty"))
    elif not given:
        wanted = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        causes.append(errors.invalid_value(at, "", f"must specify one of: {wanted}"))
    elif len(given) > 1:
        causes.append(errors.invalid_value(at, "", _MORE_THAN_ONE))
    return causes


def _check_key_ref(path: str, reference: Obj) -> list[Cause]:
    causes = checking.check_name(f"{path}.name", reference.get("name") or "", "subdomain")
    return causes + (checking.check_name(f"{path}.key", reference["key"], "config-key") if reference.get("key") else [])


def _check_env_from(path: str, i: int, source: Obj) -> list[Cause]:
    at = f"{path}[{i}]"
    causes = checking.check_name(f"{at}.prefix", source["prefix"], "env") if source.get("prefix") else []
    given = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
    for kind in given:
        causes += checking.required_name(f"{at}.{kind}.name", source[kind].get("name"), "subdomain")
    if not given:
        causes.append(errors.invalid_value(path, "", "must specify one of: `configMapRef` or `secretRef`"))
    elif len(given) > 1:
        causes.append(errors.invalid_value(path, "", _MORE_THAN_ONE))
    return causes


def _check_mounts(path: str, mounts: list[Obj], pod: Surroundings) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, mount in enumerate(mounts):
        name, target = mount.get("name") or "", mount.get("mountPath")
        if name not in pod.volumes:
            causes.append(checking.not_found(f"{path}[{i}].name", name))
        if target and target in taken:
            causes.append(errors.invalid_value(f"{path}[{i}].mountPath", target, "must be unique"))
        taken.add(target or "")
        inside, expression = mount.get("subPath"), mount.get("subPathExpr")
        if inside:
            causes += checking.relative_path(f"{path}.subPath", inside)
        if expression:
            if inside:
                causes.append(
                    errors.invalid_value(f"{path}[{i}].subPathExpr", expression, "subPathExpr and subPath are mutually exclusive")
                )
            causes += checking.relative_path(f"{path}.subPathExpr", expression)
    return causes


def _check_devices(path: str, devices: list[Obj], pod: Surroundings) -> list[Cause]:
    found = [(i, d.get("name") or "") for i, d in enumerate(devices)]
    return [checking.not_found(f"{path}[{i}].name", name) for i, name in found if name not in pod.volumes]


def _check_probes(path: str, container: Obj, pod: Surroundings) -> list[Cause]:
    causes: list[Cause] = []
    for name in _PROBES:
        probe = container.get(name)
        if probe is None:
            continue
        if pod.init:
            causes.append(errors.forbidden_field(f"{path}.{name}", "may not be set for init containers without restartPolicy=Always"))
        else:
            causes += _check_probe(f"{path}.{name}", name, probe)
    if pod.init and container.get("lifecycle") is not None:
        causes.append(errors.forbidden_field(f"{path}.lifecycle", "may not be set for init containers without restartPolicy=Always"))
    return causes


def _check_probe(path: str, name: str, probe: Obj) -> list[Cause]:
    causes = _check_handler(path, probe)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        causes += checking.not_negative(f"{path}.{field}", probe.get(field))
    grace = probe.get("terminationGracePeriodSeconds")
    if name == "readinessProbe":
        if grace is not None:
            causes.append(errors.invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes"))
    else:
        if grace is not None and grace <= 0:
            causes.append(errors.invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
        if probe.get("successThreshold") not in (None, 1):
            causes.append(errors.invalid_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return causes


def _check_handler(path: str, handler: Obj) -> list[Cause]:
    causes: list[Cause] = []
    given = [kind for kind in _HANDLERS if handler.get(kind) is not None]
    if not given:
        return [errors.required(path, "must specify a handler type")]
    causes += [errors.forbidden_field(f"{path}.{kind}", "may not specify more than 1 handler type") for kind in given[1:]]
    action, at = handler[given[0]], f"{path}.{given[0]}"
    if given[0] == "exec" and not action.get("command"):
        causes.append(errors.required(f"{at}.command"))
    if given[0] in ("httpGet", "tcpSocket", "grpc"):
        causes += checking.port_number_or_name(f"{at}.port", action.get("port", 0))
    return causes


def check_security_context(path: str, context: Obj) -> list[Cause]:
    """The parts that pods and containers have in common, and that a process node looks at."""
    causes: list[Cause] = []
    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        causes += checking.in_range(f"{path}.{field}", context.get(field), 0, checking.INT32_MAX)
    if context.get("allowPrivilegeEscalation") is False and context.get("privileged"):
        causes.append(errors.invalid_value(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
    return causes
