"""Selectors of nodes in specs other than a pod's: what is wrong with their terms, and which labels of nodes are out of use.

Called by the checks of PersistentVolumes, StorageClasses, RuntimeClasses, device claims and their like.
Contract: kube 1.36 pkg/apis/core/validation ValidateNodeSelector, ValidateTopologySelectorTerm; pkg/api/node.
"""

from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import checking

DEPRECATED = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
SUCCESSORS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def check_selector(path: str, selector: Obj) -> list[Cause]:
    """A NodeSelector that somebody requires."""
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        return [errors.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    return [c for i, term in enumerate(terms) for c in check_term(f"{path}.nodeSelectorTerms[{i}]", term)]


def check_term(path: str, term: Obj, *, any_values: bool = False) -> list[Cause]:
    causes: list[Cause] = []
    for i, expression in enumerate(term.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{i}]"
        causes += checking.requirement(at, expression, extra_operators=("Gt", "Lt"))
        if not any_values:
            values = enumerate(expression.get("values") or ())
            causes += [c for j, value in values for c in checking.check_name(f"{at}.values[{j}]", value, "label-value")]
    for i, expression in enumerate(term.get("matchFields") or ()):
        causes += _check_field(f"{path}.matchFields[{i}]", expression)
    return causes


def _check_field(path: str, expression: Obj) -> list[Cause]:
    operator, key, values = expression.get("operator") or "", expression.get("key") or "", expression.get("values") or []
    causes: list[Cause] = []
    if operator not in ("In", "NotIn"):
        causes.append(errors.invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        causes.append(errors.required(f"{path}.values", why))
    if key != "metadata.name":
        return [*causes, errors.invalid_value(f"{path}.key", key, "not a valid field selector key")]
    return causes + [c for i, value in enumerate(values) for c in checking.check_name(f"{path}.values[{i}]", value, "subdomain")]


def check_topologies(path: str, terms: list[Obj]) -> list[Cause]:
    """TopologySelectorTerms: where volumes may be made."""
    causes: list[Cause] = []
    seen: list[dict[str, set[str]]] = [{} for _ in terms]  # as the real server, which counts an empty term as many times
    for i, term in enumerate(terms):
        found: dict[str, set[str]] = {}
        for j, expression in enumerate(term.get("matchLabelExpressions") or ()):
            at, key = f"{path}[{i}].matchLabelExpressions[{j}]", expression.get("key") or ""
            causes += _check_topology(at, expression)
            if key in found:
                causes.append(errors.duplicate(f"{at}.key", key))
            found[key] = set(expression.get("values") or ())
        causes += [errors.duplicate(f"{path}[{i}].matchLabelExpressions", "") for other in seen if other == found]
        seen.append(found)
    return causes


def _check_topology(path: str, expression: Obj) -> list[Cause]:
    values = expression.get("values") or []
    causes = [] if values else [errors.required(f"{path}.values")]
    causes += [errors.duplicate(f"{path}.values[{i}]", value) for i, value in enumerate(values) if value in values[:i]]
    return causes + checking.check_name(f"{path}.key", expression.get("key") or "", "qualified")


def warn_of_expressions(path: str, selector: Obj) -> list[str]:
    """Expressions of a selector that ask for labels out of use."""
    return [
        f"{path}.matchExpressions[{i}].key: {key} is {DEPRECATED[key]}"
        for i, expression in enumerate(selector.get("matchExpressions") or ())
        if (key := expression.get("key") or "") in DEPRECATED
    ]


def warn_of_labels(path: str, found: Obj | None, *, keyed: bool = True) -> list[str]:
    """Labels out of use in a map; `keyed`: the path of each ends in its key."""
    return [f"{path}.{key}: {DEPRECATED[key]}" if keyed else f"{path}: {DEPRECATED[key]}" for key in found or () if key in DEPRECATED]
