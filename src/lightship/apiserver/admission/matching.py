"""Which requests an admission rule wants to see: operations, groups, versions, resources, scope, and labels of objects and namespaces.

Webhook configurations and admission policies speak this one language; both ask here. Decisions by rule are made once per kind of request
and remembered by the caller; selectors look at the labels of the moment.
Contract: admissionregistration.k8s.io/v1 RuleWithOperations, namespaceSelector, objectSelector, matchPolicy; k8s.io/apiserver
pkg/admission/plugin/webhook/predicates.
"""

from collections.abc import Iterable

from lightship.apiserver.core import Core
from lightship.meta import errors, selectors
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

EXEMPT = frozenset(
    {
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
"""Kinds that no webhook or policy may judge, so that nobody is locked out by one."""


def is_exempt(resource: Resource) -> bool:
    return resource.group == "admissionregistration.k8s.io" and resource.kind in EXEMPT


def find(core: Core, rules: Iterable[Obj], request: AdmissionRequest, *, equivalent: bool) -> Resource | None:
    """The resource by which a rule knows the request: its own, or with `equivalent` another version of it; None when no rule does."""
    known = list(rules)
    for rule in known:
        if covers(rule, request.operation, request.resource, request.subresource):
            return request.resource
    if not equivalent:
        return None
    others = [other for other in core.catalogue.by_bucket(request.resource.bucket) if other.identity != request.resource.identity]
    for rule in known:
        for other in others:
            if covers(rule, request.operation, other, request.subresource):
                return other
    return None


def covers(rule: Obj, operation: str, resource: Resource, subresource: str) -> bool:
    """Does the rule name this operation on this resource?"""
    return (
        _names(rule.get("operations"), operation)
        and _names(rule.get("apiGroups"), resource.group)
        and _names(rule.get("apiVersions"), resource.version)
        and _in_scope(rule.get("scope") or "*", resource)
        and any(_is_resource(text, resource.plural, subresource) for text in rule.get("resources") or ())
    )


def _names(items: Iterable[str] | None, wanted: str) -> bool:
    return any(item in ("*", wanted) for item in items or ())


def _in_scope(scope: str, resource: Resource) -> bool:
    if scope == "*":
        return True
    return resource.namespaced == (scope == "Namespaced")


def _is_resource(text: str, plural: str, subresource: str) -> bool:
    wanted, _, wanted_part = text.partition("/")
    return wanted in ("*", plural) and wanted_part in ("*", subresource)


def namespace_matches(core: Core, selector: Obj | None, request: AdmissionRequest) -> bool:
    """Is the request in a namespace of these labels? What is in none always is; a namespace is in itself. Raises 404 for a lost one."""
    if not selector:
        return True
    if request.resource.kind == "Namespace" and not request.resource.group:
        labels = _labels(request.obj) or _labels(request.old)
    elif not request.namespace:
        return True
    else:
        record = core.store.head(f"core/namespaces//{request.namespace}")
        if record is None:
            raise errors.not_found("namespaces", request.namespace)
        labels = _labels(record.obj)
    return selectors.from_label_selector(selector).matches(labels)


def object_matches(selector: Obj | None, request: AdmissionRequest) -> bool:
    """Has the object these labels, after or before the write?"""
    if not selector:
        return True
    compiled = selectors.from_label_selector(selector)
    return any(obj is not None and compiled.matches(_labels(obj)) for obj in (request.obj, request.old))


def _labels(obj: Obj | None) -> dict[str, str]:
    return ((obj or {}).get("metadata") or {}).get("labels") or {}
