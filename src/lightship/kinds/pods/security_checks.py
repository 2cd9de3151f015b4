"""What can be wrong with security contexts of pods and containers: who processes run as, and what confines them.

Called by `checks` and `container_checks`. Refuses to judge names of Windows users.
Contract: kube 1.36 ValidateSecurityContext, validatePodSpecSecurityContext, validateLinux, validateWindows; texts as kube-apiserver's.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from lightship.kinds import checking
from lightship.kinds.go_shape import shown
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_PROC_MOUNTS = ("Default", "Unmasked")
_CHANGE_POLICIES = ("Always", "OnRootMismatch")
_GROUP_POLICIES = ("Merge", "Strict")
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_SYSCTL_LENGTH = 253
_OF_NET, _OF_IPC = ("net.",), ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
_LONGEST_PROFILE = 4095
_NOT_ON_WINDOWS = "cannot be set for a windows pod"
_POD_FIELDS = {
    "": ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"),
    "securityContext.": (
        *("appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls", "runAsUser", "runAsGroup"),
        *("supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy"),
    ),
}
_CONTAINER_FIELDS = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged"),
    *("allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup"),
)


def check_container_context(path: str, context: Obj, *, host_users: bool) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("runAsUser", "runAsGroup"):
        causes += checking.in_range(f"{path}.{field}", context.get(field), 0, checking.INT32_MAX)
    mount = context.get("procMount")
    causes += checking.one_of(f"{path}.procMount", mount, _PROC_MOUNTS)
    if mount == "Unmasked" and host_users:
        causes.append(errors.invalid_value(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"))
    causes += _check_seccomp(f"{path}.seccompProfile", context.get("seccompProfile"))
    if context.get("allowPrivilegeEscalation") is False:
        start = "cannot set `allowPrivilegeEscalation` to false and "
        if context.get("privileged"):
            causes.append(errors.invalid_value(path, context, start + "`privileged` to true"))
        added = (context.get("capabilities") or {}).get("add") or ()
        causes += [errors.invalid_value(path, context, start + "`capabilities.Add` CAP_SYS_ADMIN") for c in added if c == "CAP_SYS_ADMIN"]
    causes += _check_windows_options(f"{path}.windowsOptions", context.get("windowsOptions"))
    return causes + _check_app_armor(f"{path}.appArmorProfile", context.get("appArmorProfile"))


def check_pod_context(path: str, spec: Obj) -> list[Cause]:
    context = spec.get("securityContext") or {}
    causes: list[Cause] = []
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        causes += checking.in_range(f"{path}.{field}", context.get(field), 0, checking.INT32_MAX)
    for i, group in enumerate(context.get("supplementalGroups") or ()):
        causes += checking.in_range(f"{path}.supplementalGroups[{i}]", group, 0, checking.INT32_MAX)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        causes.append(errors.invalid_value(f"{path}.shareProcessNamespace", True, why))
    causes += _check_sysctls(f"{path}.sysctls", context.get("sysctls") or (), spec)
    causes += checking.one_of(f"{path}.fsGroupChangePolicy", context.get("fsGroupChangePolicy"), _CHANGE_POLICIES)
    causes += _check_seccomp(f"{path}.seccompProfile", context.get("seccompProfile"))
    causes += _check_windows_options(f"{path}.windowsOptions", context.get("windowsOptions"))
    causes += _check_app_armor(f"{path}.appArmorProfile", context.get("appArmorProfile"))
    causes += checking.one_of(f"{path}.supplementalGroupsPolicy", context.get("supplementalGroupsPolicy"), _GROUP_POLICIES)
    return causes + checking.one_of(f"{path}.seLinuxChangePolicy", context.get("seLinuxChangePolicy"), ("Recursive",))


def _check_sysctls(path: str, sysctls: Iterable[Obj], spec: Obj) -> Iterator[Cause]:
    seen: set[str] = set()
    for i, sysctl in enumerate(sysctls):
        name, at = sysctl.get("name") or "", f"{path}[{i}].name"
        if not name:
            yield errors.required(at)
        elif len(name) > _SYSCTL_LENGTH or not _SYSCTL.fullmatch(name):
            yield errors.invalid_value(at, name, f"must have at most {_SYSCTL_LENGTH} characters and match regex ^{_SYSCTL.pattern}$")
        elif name in seen:
            yield errors.duplicate(at, name)
        plain = name.replace("/", ".")
        if spec.get("hostNetwork") and plain.startswith(_OF_NET):
            yield errors.invalid_value(at, name, "may not be specified when 'hostNetwork' is true")
        elif spec.get("hostIPC") and plain.startswith(_OF_IPC):
            yield errors.invalid_value(at, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def _check_seccomp(path: str, profile: Obj | None) -> list[Cause]:
    if profile is None:
        return []
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    causes = [] if kind else [errors.required(f"{path}.type", "type is required when seccompProfile is set")]
    causes += checking.one_of(f"{path}.type", kind or None, _PROFILES)
    if kind == "Localhost":
        if local is None:
            return [*causes, errors.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")]
        return causes + checking.relative_path(f"{path}.localhostProfile", local)
    if local is not None:
        why = "can only be set when seccomp type is Localhost"
        causes.append(errors.invalid_value(f"{path}.localhostProfile", shown(profile, "Type LocalhostProfile?"), why))
    return causes


def _check_app_armor(path: str, profile: Obj | None) -> list[Cause]:
    if profile is None:
        return []
    kind, local, at = profile.get("type") or "", profile.get("localhostProfile"), f"{path}.localhostProfile"
    if not kind:
        return [errors.required(f"{path}.type", "type is required when appArmorProfile is set")]
    if kind != "Localhost":
        if kind in _PROFILES and local is not None:
            return [errors.invalid_value(at, local, "can only be set when AppArmor type is Localhost")]
        return checking.one_of(f"{path}.type", kind, _PROFILES)
    if not local:
        return [errors.required(at, "must be set when AppArmor type is Localhost")]
    causes = [] if local == local.strip() else [errors.invalid_value(at, local, "must not be padded with whitespace")]
    return causes + ([errors.too_long(at, _LONGEST_PROFILE)] if len(local) > _LONGEST_PROFILE else [])


def _check_windows_options(path: str, options: Obj | None) -> list[Cause]:
    causes: list[Cause] = []
    name, text = (options or {}).get("gmsaCredentialSpecName"), (options or {}).get("gmsaCredentialSpec")
    if name is not None:
        causes += checking.check_name(f"{path}.gmsaCredentialSpecName", name, "subdomain")
    if text == "":
        causes.append(errors.invalid_value(f"{path}.gmsaCredentialSpec", text, "gmsaCredentialSpec cannot be an empty string"))
    return causes


def check_system(path: str, spec: Obj, containers: Iterable[tuple[str, Obj]]) -> list[Cause]:
    """What a pod says that its operating system does not have; `containers` are all of them, each with its path."""
    system = (spec.get("os") or {}).get("name")
    if system == "linux":
        why = "windows options cannot be set for a linux pod"
        places = [(path, spec), *containers]
        wrong = [at for at, part in places if (part.get("securityContext") or {}).get("windowsOptions") is not None]
        return [errors.forbidden_field(f"{at}.securityContext.windowsOptions", why) for at in wrong]
    if system != "windows":
        return []
    causes: list[Cause] = []
    for prefix, fields in _POD_FIELDS.items():
        part: Obj = spec.get("securityContext") or {} if prefix else spec
        causes += [errors.forbidden_field(f"{path}.{prefix}{f}", _NOT_ON_WINDOWS) for f in fields if _is_set(part.get(f))]
    for at, container in containers:
        context = container.get("securityContext") or {}
        causes += [errors.forbidden_field(f"{at}.securityContext.{f}", _NOT_ON_WINDOWS) for f in _CONTAINER_FIELDS if f in context]
    return causes


def _is_set(value: Any) -> bool:
    return value is not None and value is not False and value != []


def check_host_processes(path: str, spec: Obj, containers: list[tuple[str, Obj]]) -> list[Cause]:
    """Either all containers of a pod are processes of a Windows host, or none is."""
    whole = _host_process(spec)
    each = [(at, _host_process(container)) for at, container in containers]
    if whole is None and all(own is None for _, own in each):
        return []
    causes: list[Cause] = []
    for at, own in each:
        if whole is not None and own is not None and own != whole:
            why = f"pod hostProcess value must be identical if both are specified, was {str(whole).lower()}"
            causes.append(errors.invalid_value(f"{at}.securityContext.windowsOptions.hostProcess", own, why))
    count = sum(bool(whole if own is None else own) for _, own in each)
    if count and count != len(each):
        why = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        causes.append(errors.invalid_value(path, "", why))
    if count and not spec.get("hostNetwork"):
        why = "hostNetwork must be true if pod contains any hostProcess containers"
        causes.append(errors.invalid_value(f"{path}.hostNetwork", False, why))
    return causes


def _host_process(part: Obj) -> bool | None:
    found: bool | None = ((part.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
    return found
