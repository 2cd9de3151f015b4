"""What can be wrong with where a pod wants to run: tolerations, affinity, spread, gates.

Called by `checks`. Contract: kube 1.36 pkg/apis/core/validation; texts compared with kube-apiserver.
"""

from lightship.kinds import checking
from lightship.meta import errors, names
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_TOLERATION_OPERATORS = ("Equal", "Exists")
_COMPARISONS = ("Lt", "Gt")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE_POLICIES = ("Honor", "Ignore")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")


def check_tolerations(path: str, tolerations: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    for i, toleration in enumerate(tolerations):
        if not _is_common(toleration):
            causes += check_toleration(f"{path}[{i}]", toleration)
            causes += checking.one_of(f"{path}[{i}].effect", toleration.get("effect") or None, _EFFECTS)
    return causes


def check_scheduling_gates(path: str, gates: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, gate in enumerate(gates):
        name = gate.get("name") or ""
        causes += checking.check_name(f"{path}[{i}]", name, "qualified")
        if name in taken:
            causes.append(errors.duplicate(f"{path}[{i}]", name))
        taken.add(name)
    return causes


def _is_common(toleration: Obj) -> bool:
    """`Exists` with a good key and an effect that may have its seconds, as every pod has two: nothing to look for."""
    key = toleration.get("key")
    if not key or toleration.get("operator") != "Exists" or toleration.get("value"):
        return False
    effect = toleration.get("effect")
    if effect and effect not in _EFFECTS:
        return False
    return names.follows(key, "qualified") and ("tolerationSeconds" not in toleration or effect == "NoExecute")


def check_affinity(path: str, affinity: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if affinity.get("nodeAffinity"):
        causes += _check_node_affinity(f"{path}.nodeAffinity", affinity["nodeAffinity"])
    for kind in ("podAffinity", "podAntiAffinity"):
        if affinity.get(kind):
            causes += _check_pod_affinity(f"{path}.{kind}", affinity[kind])
    return causes


def check_toleration(path: str, toleration: Obj) -> list[Cause]:
    causes: list[Cause] = []
    key, operator, effect = (toleration.get(f) or "" for f in ("key", "operator", "effect"))
    if key:
        causes += checking.check_name(f"{path}.key", key, "qualified")
    elif operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        causes.append(errors.invalid_value(f"{path}.operator", operator, why))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        causes.append(errors.invalid_value(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    value = toleration.get("value") or ""
    if operator in ("Equal", ""):
        if not names.follows(value, "label-value"):
            causes.append(errors.invalid_value(f"{path}.operator", value, ";".join(names.problems(value, "label-value"))))
    elif operator == "Exists" and value:
        causes.append(errors.invalid_value(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'"))
    elif operator not in _TOLERATION_OPERATORS:
        more = _COMPARISONS if operator in _COMPARISONS else ()
        causes.append(errors.not_supported(f"{path}.operator", operator, _TOLERATION_OPERATORS + more))
    return causes


def _check_node_affinity(path: str, affinity: Obj) -> list[Cause]:
    causes: list[Cause] = []
    required = affinity.get(_REQUIRED)
    if required is not None:
        causes += check_node_selector(f"{path}.{_REQUIRED}", required)
    for i, preferred in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{i}]"
        causes += _check_weight(f"{at}.weight", preferred.get("weight") or 0)
        causes += _check_term(f"{at}.preference", preferred.get("preference") or {})
    return causes


def check_node_selector(path: str, selector: Obj) -> list[Cause]:
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        return [errors.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    return [c for i, term in enumerate(terms) for c in _check_term(f"{path}.nodeSelectorTerms[{i}]", term)]


def _check_term(path: str, term: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for i, expression in enumerate(term.get("matchExpressions") or ()):
        causes += checking.requirement(f"{path}.matchExpressions[{i}]", expression, extra_operators=("Gt", "Lt"))
    for i, expression in enumerate(term.get("matchFields") or ()):
        at = f"{path}.matchFields[{i}]"
        if expression.get("operator") not in ("In", "NotIn"):
            causes.append(errors.invalid_value(f"{at}.operator", expression.get("operator") or "", "not a valid selector operator"))
        elif len(expression.get("values") or ()) != 1:
            why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            causes.append(errors.required(f"{at}.values", why))
        if expression.get("key") == "metadata.name":
            causes += [
                c for j, v in enumerate(expression.get("values") or ()) for c in checking.check_name(f"{at}.values[{j}]", v, "subdomain")
            ]
        else:
            causes.append(errors.invalid_value(f"{at}.key", expression.get("key") or "", "not a valid field selector key"))
    return causes


def _check_weight(path: str, weight: int) -> list[Cause]:
    return [] if 1 <= weight <= 100 else [errors.invalid_value(path, weight, "must be in the range 1-100")]


def _check_pod_affinity(path: str, affinity: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for i, term in enumerate(affinity.get(_REQUIRED) or ()):
        causes += _check_pod_term(f"{path}.{_REQUIRED}[{i}]", term)
    for i, weighted in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{i}]"
        causes += _check_weight(f"{at}.weight", weighted.get("weight") or 0)
        causes += _check_pod_term(f"{at}.podAffinityTerm", weighted.get("podAffinityTerm") or {})
    return causes


def _check_pod_term(path: str, term: Obj) -> list[Cause]:
    causes = checking.label_selector(f"{path}.labelSelector", term.get("labelSelector"))
    causes += checking.label_selector(f"{path}.namespaceSelector", term.get("namespaceSelector"))
    for namespace in term.get("namespaces") or ():
        causes += checking.check_name(f"{path}.namespace", namespace, "label")
    causes += _check_label_keys(path, term)
    key = term.get("topologyKey") or ""
    if not key:
        causes.append(errors.required(f"{path}.topologyKey", "can not be empty"))
    return causes + checking.check_name(f"{path}.topologyKey", key, "qualified")


def _check_label_keys(path: str, term: Obj) -> list[Cause]:
    """Labels of the new pod itself that the others must have, or must not have."""
    causes: list[Cause] = []
    fields = [field for field in ("matchLabelKeys", "mismatchLabelKeys") if term.get(field)]
    if not fields:
        return causes
    selector = term.get("labelSelector")
    for field in fields:
        if selector is None:
            causes.append(errors.forbidden_field(f"{path}.{field}", "must not be specified when labelSelector is not set"))
            continue
        for i, key in enumerate(term[field]):
            causes += checking.check_name(f"{path}.{field}[{i}]", key, "qualified")
    matched, mismatched = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    for i, key in enumerate(matched):
        if key in mismatched:
            causes.append(errors.invalid_value(f"{path}.matchLabelKeys[{i}]", key, "exists in both matchLabelKeys and mismatchLabelKeys"))
    return causes


def check_spread(path: str, constraints: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    pairs = [(c.get("topologyKey") or "", c.get("whenUnsatisfiable") or "") for c in constraints]
    for i, constraint in enumerate(constraints):
        at, (key, action) = f"{path}[{i}]", pairs[i]
        causes += _check_positive(f"{at}.maxSkew", constraint.get("maxSkew") or 0)
        if not key:
            causes.append(errors.required(f"{at}.topologyKey", "can not be empty"))
        causes += checking.one_of(f"{at}.whenUnsatisfiable", action, _UNSATISFIABLE)
        if pairs[i] in pairs[i + 1 :]:
            causes.append(errors.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        if (domains := constraint.get("minDomains")) is not None:
            causes += _check_positive(f"{at}.minDomains", domains)
            if action != "DoNotSchedule":
                why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                causes.append(errors.invalid_value(f"{at}.minDomains", domains, why))
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            causes += checking.one_of(f"{at}.{field}", constraint.get(field), _NODE_POLICIES)
        causes += _check_label_keys(at, {**constraint, "mismatchLabelKeys": None})
        causes += checking.label_selector(f"{at}.labelSelector", constraint.get("labelSelector"))
    return causes


def _check_positive(path: str, value: int) -> list[Cause]:
    return [] if value > 0 else [errors.invalid_value(path, value, "must be greater than zero")]
