"""What can be wrong with a pod or a pod template, and what a pod's update may not change.

Called through `pods.check_pod_spec` by every kind that holds a template, and by the Pod resource. Judges objects of the right types
after defaults. Contract: kube 1.36 ValidatePodSpec, ValidatePodUpdate; texts compared with kube-apiserver.
"""

import re
from collections.abc import Mapping

from lightship.kinds import checking
from lightship.kinds.storage.volume_checks import check_volumes
from lightship.meta import codec, errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.names import Rule
from lightship.meta.objects import Obj, copy
from lightship.meta.patch import same

from . import annotations as pod_annotations
from . import gated as gated_pods
from .container_checks import Surroundings, check_containers, check_debuggers, check_host_network, check_init_containers
from .handler_checks import Circumstances
from .placement_checks import check_affinity, check_scheduling_gates, check_spread, check_tolerations
from .resource_checks import check_pod_claims, check_resources, check_whole
from .security_checks import check_host_processes, check_pod_context, check_system

_RESTARTS = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTIONS = ("PreemptLowerPriority", "Never")
_RARE = frozenset(
    {"readinessGates", "schedulingGates", "topologySpreadConstraints", "securityContext", "hostUsers", "hostnameOverride", "containers"}
    | {"schedulingGroup"}
)
_WITHOUT_USERS = "when `hostUsers` is false"
_NOT_WITHOUT_USERS = (("hostPID", "HostPID"), ("hostIPC", "HostIPC"))
_LONGEST_HOSTNAME = 64
_MOST_NAMESERVERS, _MOST_SEARCHES, _LONGEST_SEARCHES = 3, 32, 2048
_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_search_path = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*").fullmatch
_NO_SEARCH_PATH = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an "
    rf"alphanumeric character (e.g. 'example.com', regex used for validation is '{_LABEL}(\.{_LABEL})*')"
)
_SYSTEMS = ("linux", "windows")
_MUTABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)


def check_pod_spec(spec: Obj, path: str = "spec", pod: str | None = None) -> list[Cause]:
    """Everything wrong with the spec of a pod or template, which is at `path`; `pod` is the name of the pod, if it is one."""
    volumes, causes = check_volumes(f"{path}.volumes", spec, pod)
    causes += check_pod_claims(f"{path}.resourceClaims", spec.get("resourceClaims") or [])
    causes += _check_containers(path, spec, volumes, is_pod=pod is not None)
    if spec.get("resources") is not None:
        causes += check_whole(path, spec)
    if spec.get("hostNetwork"):
        causes += check_host_network(f"{path}.containers", spec.get("containers") or [], is_pod=pod is not None)
    causes += checking.chosen(f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTARTS)
    causes += checking.chosen(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    causes += checking.labels(f"{path}.nodeSelector", spec.get("nodeSelector"))
    if spec.get("securityContext") or spec.get("shareProcessNamespace"):
        causes += check_pod_context(f"{path}.securityContext", spec)
    if affinity := spec.get("affinity"):
        causes += check_affinity(f"{path}.affinity", affinity)
    if "dnsConfig" in spec or spec.get("dnsPolicy") == "None":
        causes += _check_dns(f"{path}.dnsConfig", spec)
    if not _RARE.isdisjoint(spec):
        causes += _check_rare(path, spec)
    causes += _check_names(path, spec)
    return causes + _check_last(path, spec)


def _check_rare(path: str, spec: Obj) -> list[Cause]:
    """What few pods say: gates, spread, users, the whole of Windows."""
    causes: list[Cause] = []
    for i, gate in enumerate(spec.get("readinessGates") or ()):
        causes += checking.check_name(f"{path}.readinessGates[{i}].conditionType", gate.get("conditionType") or "", "qualified")
    causes += check_scheduling_gates(f"{path}.schedulingGates", spec.get("schedulingGates") or [])
    causes += check_spread(f"{path}.topologySpreadConstraints", spec.get("topologySpreadConstraints") or [])
    causes += check_host_processes(path, spec, _with_paths(path, spec))
    if spec.get("hostUsers") is False:
        wrong = [shown for field, shown in _NOT_WITHOUT_USERS if spec.get(field)]
        causes += [errors.forbidden_field(f"{path}.{field}", _WITHOUT_USERS) for field in wrong]
        devices = [at for at, container in _with_paths(path, spec) if container.get("volumeDevices")]
        causes += [errors.forbidden_field(f"{at}.volumeDevices", _WITHOUT_USERS) for at in devices]
    if (name := spec.get("hostnameOverride")) is not None:
        at = f"{path}.hostnameOverride"
        for field in ("setHostnameAsFQDN", "hostNetwork"):
            if spec.get(field):
                causes.append(errors.forbidden_field(at, f"may not be specified when {field} is true"))
        if len(name) > _LONGEST_HOSTNAME:
            causes.append(errors.too_long(at, _LONGEST_HOSTNAME))
        causes += checking.check_name(at, name, "subdomain")
    if (group := spec.get("schedulingGroup")) is not None:
        at, named = f"{path}.schedulingGroup.podGroupName", group.get("podGroupName")
        missing = errors.invalid_value(at, None, "must specify one of: `podGroupName`")
        causes += [missing] if named is None else checking.check_name(at, named, "subdomain")
    return causes


def _check_last(path: str, spec: Obj) -> list[Cause]:
    """What is judged after the names."""
    causes: list[Cause] = []
    if tolerations := spec.get("tolerations"):
        causes += check_tolerations(f"{path}.tolerations", tolerations)
    for i, alias in enumerate(spec.get("hostAliases") or ()):
        at = f"{path}.hostAliases[{i}]"
        causes += checking.ip_address(f"{at}.ip", alias.get("ip") or "")
        causes += [
            c for j, n in enumerate(alias.get("hostnames") or ()) for c in checking.check_name(f"{at}.hostnames[{j}]", n, "subdomain")
        ]
    for field in ("priorityClassName", "runtimeClassName"):
        if name := spec.get(field):
            causes += checking.check_name(f"{path}.{field}", name, "subdomain")
    if spec.get("preemptionPolicy") is not None:
        causes += checking.chosen(f"{path}.preemptionPolicy", spec["preemptionPolicy"], _PREEMPTIONS)
    if spec.get("overhead"):
        causes += check_resources(f"{path}.overhead", {"limits": spec["overhead"]})
    if spec.get("os") is not None:
        system = spec["os"].get("name")
        causes += checking.one_of(f"{path}.os", system, _SYSTEMS) if system else [errors.required(f"{path}.os.name")]
        causes += check_system(path, spec, _with_paths(path, spec))
    return causes + _check_file_volumes(path, spec)


def _check_file_volumes(path: str, spec: Obj) -> list[Cause]:
    """Variables from files are read from empty directories."""
    causes: list[Cause] = []
    for at, container in _with_paths(path, spec):
        for i, variable in enumerate(container.get("env") or ()):
            reference = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if reference is None:
                continue
            name, where = reference.get("volumeName") or "", f"{at}.env[{i}].valueFrom.fileKeyRef.volumeName"
            source = {v.get("name") or "": v for v in spec.get("volumes") or ()}.get(name)
            if source is None:
                causes.append(checking.not_found(where, name))
            elif source.get("emptyDir") is None:
                causes.append(errors.invalid_value(where, name, "referenced volume must be of type emptyDir"))
    return causes


def _with_paths(path: str, spec: Obj) -> list[tuple[str, Obj]]:
    """All containers, each with where it is."""
    lists = ("initContainers", "containers", "ephemeralContainers")
    return [(f"{path}.{field}[{i}]", c) for field in lists for i, c in enumerate(spec.get(field) or ())]


def check_new_pod(pod: Obj) -> list[Cause]:
    spec, metadata = pod.get("spec") or {}, pod["metadata"]
    causes = pod_annotations.check("metadata.annotations", metadata.get("annotations"), spec)
    causes += check_pod_spec(spec, pod=metadata.get("name") or "")
    causes += pod_annotations.check_profiles("spec", metadata.get("annotations"), spec)
    if spec.get("ephemeralContainers"):
        causes.append(errors.forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        causes.append(errors.forbidden_field("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
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
            image = container.get("image") or ""
            if not image:
                causes.append(errors.required(f"spec.{field}[{i}].image"))
            elif image != image.strip():
                why = "must not have leading or trailing whitespace"
                causes.append(errors.invalid_value(f"spec.{field}[{i}].image", image, why))
    causes += _check_deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    causes += _check_more_tolerations(spec.get("tolerations") or [], before.get("tolerations") or [])
    causes += _check_fewer_gates(spec.get("schedulingGates") or [], before.get("schedulingGates") or [])
    expected = _with_mutable_fields(spec, before)
    if before.get("schedulingGates"):
        causes += gated_pods.check_placement(spec, before)
        gated_pods.with_placement(expected, before)
    if not same(expected, before):
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


def _check_containers(path: str, spec: Obj, volumes: Mapping[str, Obj], *, is_pod: bool) -> list[Cause]:
    containers, init = spec.get("containers") or [], spec.get("initContainers") or []
    system = (spec.get("os") or {}).get("name") or ""
    life = Circumstances(spec.get("terminationGracePeriodSeconds"), system, spec.get("restartPolicy") or "")
    claims = {c.get("name") or "" for c in spec.get("resourceClaims") or ()}
    pod = Surroundings(volumes, claims, life, spec.get("hostUsers") is not False, is_pod)
    causes = check_containers(f"{path}.containers", containers, pod)
    if init:
        causes += check_init_containers(f"{path}.initContainers", init, containers, pod)
    if debuggers := spec.get("ephemeralContainers"):
        causes += check_debuggers(f"{path}.ephemeralContainers", debuggers, [*containers, *init], pod)
    return causes


def _check_names(path: str, spec: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for field, rule in _NAMES:
        value = spec.get(field)
        if value and not names.follows(value, rule):
            causes += checking.check_name(f"{path}.{field}", value, rule)
        if field == "nodeName" and spec.get("activeDeadlineSeconds") is not None:
            causes += checking.in_range(f"{path}.activeDeadlineSeconds", spec["activeDeadlineSeconds"], 1, checking.INT32_MAX)
    return causes


def _check_dns(path: str, spec: Obj) -> list[Cause]:
    config: Obj | None = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            return [errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [errors.required(f"{path}.nameservers", why)]
    servers, searches = (config or {}).get("nameservers") or [], (config or {}).get("searches") or []
    causes: list[Cause] = []
    if len(servers) > _MOST_NAMESERVERS:
        causes.append(errors.invalid_value(f"{path}.nameservers", servers, f"must not have more than {_MOST_NAMESERVERS} nameservers"))
    causes += [c for i, server in enumerate(servers) for c in checking.ip_address(f"{path}.nameservers[{i}]", server)]
    if len(searches) > _MOST_SEARCHES:
        causes.append(errors.invalid_value(f"{path}.searches", searches, f"must not have more than {_MOST_SEARCHES} search paths"))
    if len(" ".join(searches)) > _LONGEST_SEARCHES:
        why = f"must not have more than {_LONGEST_SEARCHES} characters (including spaces) in the search list"
        causes.append(errors.invalid_value(f"{path}.searches", searches, why))
    for i, search in enumerate(searches):
        plain = search.removesuffix(".")
        if search != "." and not _search_path(plain):
            causes.append(errors.invalid_value(f"{path}.searches[{i}]", plain, _NO_SEARCH_PATH))
    options = (config or {}).get("options") or ()
    return causes + [errors.required(f"{path}.options[{i}]", "must not be empty") for i, o in enumerate(options) if not o.get("name")]


_NAMES: tuple[tuple[str, Rule], ...] = (
    ("serviceAccountName", "subdomain"),
    ("nodeName", "subdomain"),
    ("hostname", "label"),
    ("subdomain", "label"),
)
