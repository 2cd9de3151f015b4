"""Kinds of the group `admissionregistration.k8s.io/v1`: defaults and rows; judging is `webhook_checks` and `policy_checks`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 admissionregistration/v1, pkg/apis/admissionregistration/v1 defaults; printers.
"""

from typing import Any

from lightship.kinds import cells, facts, parts
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Part, Resource

from . import policy_checks, webhook_checks

_HOOK: Obj = {"failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10}
_PORT = 443


def _default_webhooks(configuration: Obj) -> None:
    for hook in configuration.get("webhooks") or ():
        _fill(hook, _HOOK)
        _default_selectors(hook)
        _default_rules(hook.get("rules"))
        service = (hook.get("clientConfig") or {}).get("service")
        if service is not None:
            _fill(service, {"port": _PORT})


def _default_mutating_webhooks(configuration: Obj) -> None:
    _default_webhooks(configuration)
    for hook in configuration.get("webhooks") or ():
        _fill(hook, {"reinvocationPolicy": "Never"})


def _default_policy(policy: Obj) -> None:
    spec = policy.setdefault("spec", {})
    _fill(spec, {"failurePolicy": "Fail"})
    _default_resources(spec.get("matchConstraints"))


def _default_binding(binding: Obj) -> None:
    _default_resources((binding.get("spec") or {}).get("matchResources"))


def _default_resources(resources: Obj | None) -> None:
    if resources is not None:
        _fill(resources, {"matchPolicy": "Equivalent"})
        _default_selectors(resources)
        _default_rules(resources.get("resourceRules"))
        _default_rules(resources.get("excludeResourceRules"))


def _default_selectors(obj: Obj) -> None:
    for field in ("namespaceSelector", "objectSelector"):
        if obj.get(field) is None:
            obj[field] = {}


def _default_rules(rules: list[Obj] | None) -> None:
    for rule in rules or ():
        _fill(rule, {"scope": "*"})


def _fill(obj: Obj, defaults: Obj) -> None:
    for field, value in defaults.items():
        if obj.get(field) is None:
            obj[field] = value


def _prepare_policy(policy: Obj, old: Obj | None) -> None:
    policy["status"] = old.get("status") or {} if old is not None else {}


def _hooks_row(configuration: Obj, now: float) -> list[Any]:
    return [objects.name(configuration), len(configuration.get("webhooks") or ()), cells.created(configuration, now)]


def _validating_row(policy: Obj, now: float) -> list[Any]:
    return _policy_row(policy, "validations", now)


def _mutating_row(policy: Obj, now: float) -> list[Any]:
    return _policy_row(policy, "mutations", now)


def _policy_row(policy: Obj, field: str, now: float) -> list[Any]:
    spec = objects.spec(policy)
    kind = spec.get("paramKind")
    shown = cells.UNSET if kind is None else f"{kind.get('apiVersion') or ''}/{kind.get('kind') or ''}"
    return [objects.name(policy), len(spec.get(field) or ()), shown, cells.created(policy, now)]


def _binding_row(binding: Obj, now: float) -> list[Any]:
    spec = objects.spec(binding)
    return [objects.name(binding), spec.get("policyName") or "", _parameter(spec.get("paramRef")), cells.created(binding, now)]


def _parameter(reference: Obj | None) -> str:
    if not reference:
        return cells.UNSET
    if reference.get("name"):
        # Nobody knows here whether the parameter has a namespace.
        return f"{reference.get('namespace') or '*'}/{reference['name']}"
    return _printed(reference["selector"]) if reference.get("selector") is not None else cells.UNSET


def _printed(selector: Obj) -> str:
    """A selector as Go prints the struct."""
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{e.get('key')},Operator:{e.get('operator')},Values:[{' '.join(e.get('values') or ())}],}},"
        for e in selector.get("matchExpressions") or ()
    )
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"


MUTATING_ADMISSION_POLICIES = facts.resource(
    "admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
    default=_default_policy,
    validate=policy_checks.validate_mutating,
    warn=webhook_checks.warn,
    row=_mutating_row,
    unconditional_update=False,
)
MUTATING_ADMISSION_POLICY_BINDINGS = facts.resource(
    "admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
    default=_default_binding,
    validate=policy_checks.validate_binding,
    warn=webhook_checks.warn,
    row=_binding_row,
    unconditional_update=False,
)
MUTATING_WEBHOOK_CONFIGURATIONS = facts.resource(
    "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    default=_default_mutating_webhooks,
    validate=webhook_checks.validate,
    warn=webhook_checks.warn,
    row=_hooks_row,
    unconditional_update=False,
)
VALIDATING_ADMISSION_POLICIES = facts.resource(
    "admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    prepare=_prepare_policy,
    default=_default_policy,
    validate=policy_checks.validate_validating,
    warn=webhook_checks.warn,
    parts={"status": Part(prepare=parts.keep_metadata, validate=policy_checks.validate_status)},
    row=_validating_row,
    unconditional_update=False,
)
VALIDATING_ADMISSION_POLICY_BINDINGS = facts.resource(
    "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    default=_default_binding,
    validate=policy_checks.validate_binding,
    warn=webhook_checks.warn,
    row=_binding_row,
    unconditional_update=False,
)
VALIDATING_WEBHOOK_CONFIGURATIONS = facts.resource(
    "admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    default=_default_webhooks,
    validate=webhook_checks.validate,
    warn=webhook_checks.warn,
    row=_hooks_row,
    unconditional_update=False,
)

RESOURCES: tuple[Resource, ...] = (
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
