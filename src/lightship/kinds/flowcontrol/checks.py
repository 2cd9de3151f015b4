"""What can be wrong with FlowSchemas and PriorityLevelConfigurations.

Called through `flowcontrol`. The mandatory objects may not differ from what the server itself would make them.
Contract: kube 1.36 pkg/apis/flowcontrol/validation; apiserver pkg/util/shufflesharding.
"""

import math

from lightship.kinds import checking, parts
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import objects as flow_objects

EXEMPT = "exempt"
_HIGHEST_PRECEDENCE = 10000
_MAX_QUEUES = 10_000_000
_HASH_BITS = 60
_ZERO_SHARES = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
_METHODS = ("ByNamespace", "ByUser")
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_SUBJECTS = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}
_KINDS = ("Group", "ServiceAccount", "User")
_NAMESPACE = "each member of this list must be '*' or a DNS-1123 label; "


def validate_schema(schema: Obj, old: Obj | None) -> list[Cause]:
    spec, name = objects.spec(schema), objects.name(schema)
    causes = _check_schema(spec, name)
    fixed = flow_objects.mandatory("FlowSchema", name)
    if fixed is not None and not same(spec, fixed["spec"]):
        causes.append(errors.invalid_value("spec", spec, f"spec of '{name}' must equal the fixed value"))
    return causes + validate_status(schema, old)


def validate_status(obj: Obj, old: Obj | None) -> list[Cause]:
    """Of either kind."""
    return parts.unique_types("status.conditions", objects.status(obj).get("conditions"))


def _check_schema(spec: Obj, name: str) -> list[Cause]:
    precedence, at = spec.get("matchingPrecedence") or 0, "spec.matchingPrecedence"
    causes: list[Cause] = []
    if precedence <= 0:
        causes.append(errors.invalid_value(at, precedence, "must be a positive value"))
    if precedence > _HIGHEST_PRECEDENCE:
        causes.append(errors.invalid_value(at, precedence, f"must not be greater than {_HIGHEST_PRECEDENCE}"))
    if precedence == 1 and name != EXEMPT:
        causes.append(errors.invalid_value(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in _METHODS:
        causes.append(errors.not_supported("spec.distinguisherMethod.type", {"Type": method.get("type") or ""}, _METHODS))
    level, at = (spec.get("priorityLevelConfiguration") or {}).get("name"), "spec.priorityLevelConfiguration.name"
    causes += checking.check_name(at, level, "subdomain") if level else [errors.required(at, "must reference a priority level")]
    return causes + [c for i, rule in enumerate(spec.get("rules") or ()) for c in _check_rule(f"spec.rules[{i}]", rule)]


def _check_rule(path: str, rule: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for i, subject in enumerate(rule.get("subjects") or ()):
        causes += _check_subject(f"{path}.subjects[{i}]", subject)
    if not rule.get("subjects"):
        causes.append(errors.required(f"{path}.subjects", "subjects must contain at least one value"))
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        causes.append(errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for i, inner in enumerate(rule.get("resourceRules") or ()):
        causes += _check_resource_rule(f"{path}.resourceRules[{i}]", inner)
    for i, inner in enumerate(rule.get("nonResourceRules") or ()):
        causes += _check_url_rule(f"{path}.nonResourceRules[{i}]", inner)
    return causes


def _check_subject(path: str, subject: Obj) -> list[Cause]:
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        return [errors.not_supported(f"{path}.kind", kind, _KINDS)]
    field = _SUBJECTS[kind]
    causes = _check_named(f"{path}.{field}", subject.get(field), field, kind)
    return causes + [
        errors.forbidden_field(f"{path}.{other}", f"{other} is forbidden when subject kind is not '{of}'")
        for of, other in (("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group"))
        if other != field and subject.get(other) is not None
    ]


def _check_named(path: str, named: Obj | None, field: str, kind: str) -> list[Cause]:
    if named is None:
        return [errors.required(path, f"{field} is required when subject kind is '{kind}'")]
    name = named.get("name")
    if kind != "ServiceAccount":
        return [] if name else [errors.required(f"{path}.name")]
    causes = checking.required_name(f"{path}.name", name, "subdomain") if name != "*" else []
    if not named.get("namespace"):
        return [*causes, errors.required(f"{path}.namespace", "must specify namespace for service account")]
    return causes + checking.check_name(f"{path}.namespace", named["namespace"], "label")


def _check_verbs(path: str, verbs: list[str]) -> list[Cause]:
    if not verbs:
        return [errors.required(path, "verbs must contain at least one value")]
    if "*" in verbs:
        return _alone(path, verbs, "verbs")
    return [] if set(verbs) <= set(_VERBS) else [errors.not_supported(path, verbs, _VERBS)]


def _alone(path: str, values: list[str], what: str) -> list[Cause]:
    """A wildcard says all that the others could."""
    if "*" in values and len(values) > 1:
        return [errors.invalid_value(path, values, f"if '*' is present, must not specify other {what}")]
    return []


def _check_url_rule(path: str, rule: Obj) -> list[Cause]:
    causes = _check_verbs(f"{path}.verbs", rule.get("verbs") or [])
    urls, at = rule.get("nonResourceURLs") or [], f"{path}.nonResourceURLs"
    if not urls:
        return [*causes, errors.required(at, "nonResourceURLs must contain at least one value")]
    if "*" in urls:
        return causes + _alone(at, urls, "non-resource URLs")
    found = ((i, url, _url_problem(url)) for i, url in enumerate(urls))
    return causes + [errors.invalid_value(f"{at}[{i}]", url, problem) for i, url, problem in found if problem]


def _url_problem(url: str) -> str:
    if url == "/":
        return ""
    stars = url.count("*")
    tests = (
        (not url, "must not be empty"),
        (not url.startswith("/"), "must start with slash"),
        (" " in url, "must not contain white-space"),
        ("//" in url, "must not contain double slash"),
        (stars > 1 or (stars == 1 and not url.endswith("/*")), "wildcard can only do suffix matching"),
    )
    return next((problem for wrong, problem in tests if wrong), "")


def _check_resource_rule(path: str, rule: Obj) -> list[Cause]:
    causes = _check_verbs(f"{path}.verbs", rule.get("verbs") or [])
    for field, what, shown in (("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")):
        values = rule.get(field) or []
        if not values:
            causes.append(errors.required(f"{path}.{field}", f"resource rules must supply at least one {what}"))
        causes += _alone(f"{path}.{field}", values, shown)
    spaces, at = rule.get("namespaces") or [], f"{path}.namespaces"
    if not spaces and not rule.get("clusterScope"):
        return [*causes, errors.required(at, "resource rules that are not cluster scoped must supply at least one namespace")]
    if "*" in spaces:
        return causes + _alone(at, spaces, "namespaces")
    for i, space in enumerate(spaces):
        wrong = checking.check_name("", space, "label")
        causes += [errors.invalid_value(f"{at}[{i}]", space, _NAMESPACE + c.message.partition('": ')[2]) for c in wrong]
    return causes


def validate_level(level: Obj, old: Obj | None) -> list[Cause]:
    spec, name = objects.spec(level), objects.name(level)
    causes: list[Cause] = []
    if _ZERO_SHARES in objects.annotations(level):
        causes.append(errors.forbidden_field("metadata.annotations", f"annotation '{_ZERO_SHARES}' is forbidden"))
    causes += _check_level(spec, name)
    fixed = flow_objects.mandatory("PriorityLevelConfiguration", name)
    if fixed is not None:
        want, excepted = {**fixed["spec"]}, ""
        if name == EXEMPT:
            want["exempt"], excepted = spec.get("exempt"), " except the 'spec.exempt' field"
        if not same({**spec, "exempt": spec.get("exempt")}, {**want, "exempt": want.get("exempt")}):
            causes.append(errors.invalid_value("spec", spec, f"spec of '{name}'{excepted} must equal the fixed value"))
    return causes + validate_status(level, old)


def _check_level(spec: Obj, name: str) -> list[Cause]:
    kind, exempt, limited = spec.get("type") or "", spec.get("exempt"), spec.get("limited")
    causes: list[Cause] = []
    if (name == EXEMPT) != (kind == "Exempt"):
        causes.append(errors.invalid_value("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'"))
    if kind == "Exempt":
        if limited is not None:
            causes.append(errors.forbidden_field("spec.limited", "must be nil if the type is not Limited"))
        return causes + (_check_shares("spec.exempt", exempt) if exempt is not None else [])
    if kind != "Limited":
        return causes + ([errors.not_supported("spec.type", kind, ("Exempt", "Limited"))] if kind else [errors.required("spec.type")])
    if exempt is not None:
        causes.append(errors.forbidden_field("spec.exempt", "must be nil if the type is Limited"))
    if limited is None:
        return [*causes, errors.required("spec.limited", "must not be empty when type is Limited")]
    shares, percent = limited.get("nominalConcurrencyShares"), limited.get("borrowingLimitPercent")
    causes += _check_shares("spec.limited", {"nominalConcurrencyShares": shares})
    causes += _check_response("spec.limited.limitResponse", limited.get("limitResponse") or {})
    causes += _check_shares("spec.limited", {"lendablePercent": limited.get("lendablePercent")})
    if percent is not None and percent < 0:
        why = "if specified, must be a non-negative integer"
        causes.append(errors.invalid_value("spec.limited.borrowingLimitPercent", percent, why))
    return causes


def _check_shares(path: str, level: Obj) -> list[Cause]:
    shares = level.get("nominalConcurrencyShares")
    causes: list[Cause] = []
    if shares is not None and shares < 0:
        causes.append(errors.invalid_value(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer"))
    return causes + checking.in_range(f"{path}.lendablePercent", level.get("lendablePercent"), 0, 100)


def _check_response(path: str, response: Obj) -> list[Cause]:
    kind, queuing = response.get("type") or "", response.get("queuing")
    if kind == "Reject":
        why = "must be nil if limited.limitResponse.type is not Limited"
        return [errors.forbidden_field(f"{path}.queuing", why)] if queuing is not None else []
    if kind == "Queue":
        why = "must not be empty if limited.limitResponse.type is Limited"
        return _check_queuing(f"{path}.queuing", queuing) if queuing is not None else [errors.required(f"{path}.queuing", why)]
    return [errors.not_supported(f"{path}.type", kind, ("Queue", "Reject"))] if kind else [errors.required(f"{path}.type")]


def _check_queuing(path: str, queuing: Obj) -> list[Cause]:
    length, queues, hand = (queuing.get(field) or 0 for field in ("queueLengthLimit", "queues", "handSize"))
    causes: list[Cause] = []
    if length <= 0:
        causes.append(errors.invalid_value(f"{path}.queueLengthLimit", length, "must be positive"))
    if queues <= 0:
        causes.append(errors.invalid_value(f"{path}.queues", queues, "must be positive"))
    elif queues > _MAX_QUEUES:
        causes.append(errors.invalid_value(f"{path}.queues", queues, f"must not be greater than {_MAX_QUEUES}"))
    if hand <= 0:
        causes.append(errors.invalid_value(f"{path}.handSize", hand, "must be positive"))
    elif hand > queues:
        causes.append(errors.invalid_value(f"{path}.handSize", hand, f"should not be greater than queues ({queues})"))
    elif math.ceil(math.log2(queues) * hand) > _HASH_BITS:
        why = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {_HASH_BITS}"
        causes.append(errors.invalid_value(f"{path}.handSize", hand, why))
    return causes
