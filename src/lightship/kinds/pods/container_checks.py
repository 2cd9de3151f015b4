"""What can be wrong with a container: names, image, ports, environment. What it mounts and how it lives is judged by rooms of their own.

Called by `checks` with what a container must know of its pod. Judges required fields and enums too: schemas do not, inside of pods.
Contract: kube 1.36 pkg/apis/core/validation; texts compared with kube-apiserver.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from lightship.kinds import checking
from lightship.kinds.storage.downward_checks import field_ref, resource_field_ref
from lightship.meta import errors, names
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import handler_checks, mount_checks
from .handler_checks import Circumstances
from .resource_checks import check_resources
from .security_checks import check_container_context

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
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
_LIFE = frozenset({"lifecycle", *handler_checks.PROBES})
_MORE_THAN_ONE = "may not have more than one field specified at a time"
_MESSAGES = ("File", "FallbackToLogsOnError")
_PULLS = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_FOR_DEBUGGERS = "cannot be set for an Ephemeral Container"
_NOT_FOR_DEBUGGERS = (
    *("ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules"),
    *("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"),
)


class Surroundings(NamedTuple):
    """What a container's rules must know of its pod; `is_pod`: it is one, and no template."""

    volumes: Mapping[str, Obj]
    claims: Collection[str]
    life: Circumstances
    host_users: bool
    is_pod: bool


def check_containers(path: str, containers: list[Obj], pod: Surroundings) -> list[Cause]:
    if not containers:
        return [errors.required(path)]
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, container in enumerate(containers):
        at, name = f"{path}[{i}]", container.get("name") or ""
        causes += _check_common(at, container, pod)
        if name in taken:
            causes.append(errors.duplicate(f"{at}.name", name))
        taken.add(name)
        if not _LIFE.isdisjoint(container):
            causes += handler_checks.check_life(at, container, pod.life)
        if "restartPolicy" in container or "restartPolicyRules" in container:
            causes += handler_checks.check_restarts(at, container)
    return causes + _check_host_ports(path, containers)


def check_init_containers(path: str, init: list[Obj], containers: list[Obj], pod: Surroundings) -> list[Cause]:
    causes: list[Cause] = []
    taken = {c.get("name") or "" for c in containers}
    for i, container in enumerate(init):
        at, name = f"{path}[{i}]", container.get("name") or ""
        causes += _check_common(at, container, pod)
        causes += handler_checks.check_init_restarts(at, container)
        if name in taken:
            causes.append(errors.duplicate(f"{at}.name", name))
        elif name:
            taken.add(name)
        causes += _check_host_ports(path, [container])
        if container.get("restartPolicy") == "Always":
            causes += handler_checks.check_life(at, container, pod.life)
        else:
            causes += handler_checks.check_lifeless(at, container)
            causes += handler_checks.check_init_resizes(f"{at}.resizePolicy", container.get("resizePolicy") or [])
    return causes


def check_debuggers(path: str, debuggers: list[Obj], others: list[Obj], pod: Surroundings) -> list[Cause]:
    """Ephemeral containers, which have little of what other containers have."""
    causes: list[Cause] = []
    known = {c.get("name") or "" for c in others}
    taken = set(known)
    for i, container in enumerate(debuggers):
        at, name, target = f"{path}[{i}]", container.get("name") or "", container.get("targetContainerName")
        causes += _check_common(at, container, pod._replace(is_pod=True))
        if name in taken:
            causes.append(errors.duplicate(f"{at}.name", name))
        taken.add(name)
        if target and target not in known:
            causes.append(checking.not_found(f"{at}.targetContainerName", target))
        causes += [errors.forbidden_field(f"{at}.{f}", _FOR_DEBUGGERS) for f in _NOT_FOR_DEBUGGERS if container.get(f)]
        for j, mount in enumerate(container.get("volumeMounts") or ()):
            wrong = [f for f in ("subPath", "subPathExpr") if mount.get(f)]
            causes += [errors.forbidden_field(f"{at}.volumeMounts[{j}].{f}", _FOR_DEBUGGERS) for f in wrong]
    return causes


def _check_common(path: str, container: Obj, pod: Surroundings) -> list[Cause]:
    causes: list[Cause] = []
    name, image = container.get("name"), container.get("image") or ""
    if not (name and names.follows(name, "label")):
        causes += checking.required_name(f"{path}.name", name, "label")
    if not image:
        causes.append(errors.required(f"{path}.image"))
    if container.get("terminationMessagePolicy") not in _MESSAGES:
        causes += checking.chosen(f"{path}.terminationMessagePolicy", container.get("terminationMessagePolicy"), _MESSAGES)
    if ports := container.get("ports"):
        causes += _check_ports(f"{path}.ports", ports)
    causes += _check_variables(path, container)
    if "volumeMounts" in container or "volumeDevices" in container:
        causes += mount_checks.check(path, container, pod.volumes)
    if container.get("imagePullPolicy") not in _PULLS:
        causes += checking.chosen(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), _PULLS)
    if resources := container.get("resources"):
        causes += check_resources(f"{path}.resources", resources, pod.claims)
    if policies := container.get("resizePolicy"):
        causes += handler_checks.check_resizes(f"{path}.resizePolicy", policies, pod.life.restarts)
    if context := container.get("securityContext"):
        causes += check_container_context(f"{path}.securityContext", context, host_users=pod.host_users)
    if pod.is_pod and image != image.strip():
        causes.append(errors.invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace"))
    return causes


def _check_variables(path: str, container: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for i, variable in enumerate(container.get("env") or ()):
        if variable.get("valueFrom") is not None or not names.follows(variable.get("name") or "", "env"):
            causes += _check_variable(f"{path}.env[{i}]", variable)
    for i, source in enumerate(container.get("envFrom") or ()):
        causes += _check_env_from(f"{path}.envFrom", i, source)
    return causes


def _check_ports(path: str, ports: list[Obj]) -> list[Cause]:
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
        if port.get("hostPort"):
            causes += checking.port_number(f"{at}.hostPort", port["hostPort"])
        if port.get("protocol") not in _PROTOCOLS:
            causes += checking.chosen(f"{at}.protocol", port.get("protocol"), _PROTOCOLS)
    return causes


def check_host_network(path: str, containers: list[Obj], *, is_pod: bool) -> list[Cause]:
    """Ports of containers that have the node's network are ports of the node."""
    causes: list[Cause] = []
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort") or 0
            if (is_pod or host) and host != (port.get("containerPort") or 0):
                at = f"{path}[{i}].ports[{j}].hostPort"
                causes.append(errors.invalid_value(at, host, "must match `containerPort` when `hostNetwork` is true"))
    return causes


def _check_host_ports(path: str, containers: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                text = f"{port.get('protocol') or ''}/{port.get('hostIP') or ''}/{port['hostPort']}"
                if text in taken:
                    causes.append(errors.duplicate(f"{path}[{i}].ports[{j}].hostPort", text))
                taken.add(text)
    return causes


def _check_variable(path: str, variable: Obj) -> list[Cause]:
    name = variable.get("name")
    causes = checking.check_name(f"{path}.name", name, "env") if name else [errors.required(f"{path}.name")]
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
    if "fileKeyRef" in given:
        causes += _check_file_ref(f"{at}.fileKeyRef", source["fileKeyRef"])
    if not given:
        wanted = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        causes.append(errors.invalid_value(at, "", f"must specify one of: {wanted}"))
    elif variable.get("value"):
        causes.append(errors.invalid_value(at, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        causes.append(errors.invalid_value(at, "", _MORE_THAN_ONE))
    return causes


def _check_file_ref(path: str, reference: Obj) -> list[Cause]:
    causes = checking.required_name(f"{path}.key", reference.get("key"), "env")
    causes += checking.required_name(f"{path}.volumeName", reference.get("volumeName"), "label")
    place = reference.get("path")
    return causes + (checking.no_backsteps(f"{path}.path", place) if place else [errors.required(f"{path}.path")])


def _check_key_ref(path: str, reference: Obj) -> list[Cause]:
    causes = checking.check_name(f"{path}.name", reference.get("name") or "", "subdomain")
    return causes + checking.required_name(f"{path}.key", reference.get("key"), "config-key")


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
