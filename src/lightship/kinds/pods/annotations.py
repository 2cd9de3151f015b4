"""Annotations of pods that mean something to the server, or meant something once: what can be wrong with them.

Called by the checks of pods and of templates; costs nothing where there are no annotations.
Contract: kube 1.36 ValidatePodSpecificAnnotations, validateSeccompAnnotationsAndFields, validateAppArmorAnnotationsAndFieldsMatchOnCreate.
"""

import re
from collections.abc import Iterator

from lightship.kinds import checking
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
SECCOMP_OF_POD = "seccomp.security.alpha.kubernetes.io/pod"
MIRROR = "kubernetes.io/config.mirror"
LISTS = ("initContainers", "containers", "ephemeralContainers")
_COST = "controller.kubernetes.io/pod-deletion-cost"
_WHOLE = re.compile(r"0|-\d{1,19}|[1-9]\d{0,9}", re.ASCII)
_LOCAL = "localhost/"
_MATCH_TYPE = "apparmor type in annotation and field must match"
_MATCH_PROFILE = "apparmor profile in annotation and field must match"
_APPARMOR_TYPES = {"runtime/default": "RuntimeDefault", "unconfined": "Unconfined"}
_SECCOMP_TYPES = {"runtime/default": "RuntimeDefault", "docker/default": "RuntimeDefault", "unconfined": "Unconfined"}


def check(path: str, annotations: Obj | None, spec: Obj) -> list[Cause]:
    """`path` is where the annotations are."""
    return list(_check(path, annotations, spec)) if annotations else []


def _check(path: str, annotations: Obj, spec: Obj) -> Iterator[Cause]:
    if MIRROR in annotations and not spec.get("nodeName"):
        why = "must set spec.nodeName if mirror pod annotation is set"
        yield errors.invalid_value(f"{path}[{MIRROR}]", annotations[MIRROR], why)
    cost = annotations.get(_COST)
    if cost is not None and not (_WHOLE.fullmatch(cost) and -(2**31) <= int(cost) < 2**31):
        yield errors.invalid_value(f"{path}[{_COST}]", cost, "must be a 32bit integer")
    for key, value in annotations.items():
        if key == SECCOMP_OF_POD or key.startswith(SECCOMP):
            yield from _check_seccomp(f"{path}.{key}", value)
        elif key.startswith(APPARMOR):
            name = key.removeprefix(APPARMOR)
            if all(container.get("name") != name for field in LISTS for container in spec.get(field) or ()):
                yield errors.invalid_value(f"{path}[{key}]", name, "container not found")
            if value and value not in _APPARMOR_TYPES and not value.startswith(_LOCAL):
                yield errors.invalid_value(f"{path}[{key}]", value, f'invalid AppArmor profile name: "{value}"')


def _check_seccomp(path: str, profile: str) -> list[Cause]:
    if profile in _SECCOMP_TYPES:
        return []
    if profile.startswith(_LOCAL):
        return checking.relative_path(path, profile.removeprefix(_LOCAL))
    return [errors.invalid_value(path, profile, "must be a valid seccomp profile")]


def check_profiles(path: str, annotations: Obj | None, spec: Obj) -> list[Cause]:
    """Annotations and fields that name profiles name the same ones; `path` is where the spec is."""
    return list(_check_profiles(path, annotations, spec)) if annotations else []


def _check_profiles(path: str, annotations: Obj, spec: Obj) -> Iterator[Cause]:
    of_pod = spec.get("securityContext") or {}
    told = annotations.get(SECCOMP_OF_POD)
    if told is not None and of_pod.get("seccompProfile") is not None:
        yield from _compare_seccomp(f"{path}.securityContext.seccompProfile", told, of_pod["seccompProfile"])
    windows = (spec.get("os") or {}).get("name") == "windows"
    for field in LISTS:
        for i, container in enumerate(spec.get(field) or ()):
            at, name, own = f"{path}.{field}[{i}].securityContext", container.get("name"), container.get("securityContext") or {}
            told = annotations.get(f"{SECCOMP}{name}")
            if told is not None and own.get("seccompProfile") is not None:
                yield from _compare_seccomp(f"{at}.seccompProfile", told, own["seccompProfile"])
            told, profile = annotations.get(f"{APPARMOR}{name}"), own.get("appArmorProfile") or of_pod.get("appArmorProfile")
            if told is not None and profile is not None and not windows:
                yield from _compare_apparmor(f"{at}.appArmorProfile", told, profile)


def _compare_seccomp(path: str, told: str, profile: Obj) -> Iterator[Cause]:
    kind, local = profile.get("type"), profile.get("localhostProfile")
    if kind == "Localhost":
        if not told.startswith(_LOCAL):
            yield errors.forbidden_field(f"{path}.type", "seccomp type in annotation and field must match")
        elif told.removeprefix(_LOCAL) != (local or ""):
            yield errors.forbidden_field(f"{path}.localhostProfile", "seccomp profile in annotation and field must match")
    elif kind in _SECCOMP_TYPES.values() and _SECCOMP_TYPES.get(told) != kind:
        yield errors.forbidden_field(f"{path}.type", "seccomp type in annotation and field must match")


def _compare_apparmor(path: str, told: str, profile: Obj) -> Iterator[Cause]:
    kind, local = profile.get("type"), profile.get("localhostProfile")
    if kind == "Localhost":
        if not told.startswith(_LOCAL):
            yield errors.forbidden_field(f"{path}.type", _MATCH_TYPE)
        elif local is None or told.removeprefix(_LOCAL) != local:
            yield errors.forbidden_field(f"{path}.localhostProfile", _MATCH_PROFILE)
    elif kind in _APPARMOR_TYPES.values() and _APPARMOR_TYPES.get(told) != kind:
        yield errors.forbidden_field(f"{path}.type", _MATCH_TYPE)


def check_change(new: Obj, old: Obj, spec: Obj) -> list[Cause]:
    """What may not be told otherwise of a pod that exists. `new` and `old` are its annotations."""
    causes: list[Cause] = []
    for key in new.keys() | old.keys() if new != old else ():
        if not key.startswith(APPARMOR) and key != MIRROR:
            continue
        what = "AppArmor annotations" if key.startswith(APPARMOR) else "mirror pod annotation"
        if key not in old:
            causes.append(errors.forbidden_field(f"metadata.annotations[{key}]", f"may not add {what}"))
        elif new.get(key) != old[key]:
            causes.append(errors.forbidden_field(f"metadata.annotations[{key}]", f"may not remove or update {what}"))
    return causes + check("metadata.annotations", new, spec)


def apparmor_field(annotation: str) -> Obj | None:
    """The field that says what an AppArmor annotation says; None: it says nothing that a field could."""
    if annotation in _APPARMOR_TYPES:
        return {"type": _APPARMOR_TYPES[annotation]}
    if annotation.startswith(_LOCAL) and annotation != _LOCAL:
        return {"type": "Localhost", "localhostProfile": annotation.removeprefix(_LOCAL)}
    return None
