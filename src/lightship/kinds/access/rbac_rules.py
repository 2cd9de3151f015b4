"""The rules of Roles, ClusterRoles and their bindings: defaults, validation, rows.

What a rule means is `apiserver.access.rbac`'s business; whether somebody may write it too. Here only: is it a rule at all?
Contract: kube 1.36 pkg/apis/rbac/validation, v1 defaults, printers.
"""

from typing import Any

from lightship.kinds import cells, checking
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

GROUP = "rbac.authorization.k8s.io"
_ROLE_KINDS = ("Role", "ClusterRole")
_SUBJECT_KINDS = ("ServiceAccount", "User", "Group")


def default_binding(binding: Obj) -> None:
    """Both kinds of binding."""
    ref = binding["roleRef"] = binding.get("roleRef") or {}
    if not ref.get("apiGroup"):
        ref["apiGroup"] = GROUP
    for subject in binding.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP


def default_role(role: Obj) -> None:
    """Both kinds of role: one without rules says so."""
    role["rules"] = role.get("rules") or None


def validate_role(role: Obj, old: Obj | None) -> list[Cause]:
    return _check_rules(role, namespaced=True)


def validate_cluster_role(role: Obj, old: Obj | None) -> list[Cause]:
    causes = _check_rules(role, namespaced=False)
    aggregation = role.get("aggregationRule")
    if aggregation is None:
        return causes
    selectors = aggregation.get("clusterRoleSelectors") or []
    path = "aggregationRule.clusterRoleSelectors"
    if not selectors:
        causes.append(errors.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
    for i, selector in enumerate(selectors):
        found = checking.label_selector(f"{path}[{i}]", selector)
        causes += [*found, errors.invalid_value(f"{path}[{i}]", None, "invalid label selector.")] if found else []
    return causes


def validate_binding(binding: Obj, old: Obj | None) -> list[Cause]:
    return _check_binding(binding, old, _ROLE_KINDS)


def validate_cluster_binding(binding: Obj, old: Obj | None) -> list[Cause]:
    return _check_binding(binding, old, ("ClusterRole",))


def _check_rules(role: Obj, *, namespaced: bool) -> list[Cause]:
    return [c for i, rule in enumerate(role.get("rules") or ()) for c in _check_rule(rule, f"rules[{i}]", namespaced=namespaced)]


def _check_rule(rule: Obj, path: str, *, namespaced: bool) -> list[Cause]:
    causes: list[Cause] = []
    if not rule.get("verbs"):
        causes.append(errors.required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        where = f"{path}.nonResourceURLs"
        if namespaced:
            causes.append(errors.invalid_value(where, urls, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            causes.append(errors.invalid_value(where, urls, "rules cannot apply to both regular resources and non-resource URLs"))
        return causes
    if not rule.get("apiGroups"):
        causes.append(errors.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        causes.append(errors.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return causes


def _check_binding(binding: Obj, old: Obj | None, kinds: tuple[str, ...]) -> list[Cause]:
    ref = binding.get("roleRef") or {}
    causes: list[Cause] = []
    if ref.get("apiGroup") != GROUP:
        causes.append(errors.not_supported("roleRef.apiGroup", ref.get("apiGroup") or "", (GROUP,)))
    if ref.get("kind") not in kinds:
        causes.append(errors.not_supported("roleRef.kind", ref.get("kind") or "", kinds))
    causes += checking.required_name("roleRef.name", ref.get("name"), "path")
    for i, subject in enumerate(binding.get("subjects") or ()):
        causes += _check_subject(subject, f"subjects[{i}]", namespaced=len(kinds) > 1)
    if old is not None and ref != old["roleRef"]:
        shown = {"APIGroup": ref.get("apiGroup") or "", "Kind": ref.get("kind") or "", "Name": ref.get("name") or ""}
        causes.append(errors.invalid_value("roleRef", shown, "cannot change roleRef"))
    return causes


def _check_subject(subject: Obj, path: str, *, namespaced: bool) -> list[Cause]:
    kind, name, group = subject.get("kind") or "", subject.get("name") or "", subject.get("apiGroup") or ""
    causes = [] if name else [errors.required(f"{path}.name")]
    if kind not in _SUBJECT_KINDS:
        return [*causes, errors.not_supported(f"{path}.kind", kind, _SUBJECT_KINDS)]
    wanted = "" if kind == "ServiceAccount" else GROUP
    if kind == "ServiceAccount" and name:
        causes += checking.check_name(f"{path}.name", name, "subdomain")
    if group != wanted:
        causes.append(errors.not_supported(f"{path}.apiGroup", group, (wanted,)))
    if kind == "ServiceAccount" and not namespaced and not subject.get("namespace"):
        causes.append(errors.required(f"{path}.namespace"))
    return causes


def role_row(role: Obj, now: float) -> list[Any]:
    """Both kinds of role. The second cell is a time, not an age: the real server has no printer for roles."""
    return [objects.name(role), role["metadata"].get("creationTimestamp")]


def binding_row(binding: Obj, now: float) -> list[Any]:
    """Both kinds of binding."""
    ref = binding.get("roleRef") or {}
    subjects = binding.get("subjects") or ()

    def named(kind: str) -> str:
        return ", ".join(_shown(subject) for subject in subjects if subject.get("kind") == kind)

    role = f"{ref.get('kind') or ''}/{ref.get('name') or ''}"
    return [objects.name(binding), role, cells.created(binding, now), named("User"), named("Group"), named("ServiceAccount")]


def _shown(subject: Obj) -> str:
    namespace = subject.get("namespace") if subject.get("kind") == "ServiceAccount" else ""
    return f"{namespace}/{subject['name']}" if namespace else str(subject["name"])
