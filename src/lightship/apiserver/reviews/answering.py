"""Questions about identity and permission, asked by creating an object that is never stored.

`front` calls `answer` for POSTs to these kinds; discovery lists `RESOURCES`. Knows the authenticator and the authorizer of the front,
nothing of stored objects.
Contract: authentication.k8s.io/v1 TokenReview, SelfSubjectReview; authorization.k8s.io/v1 SubjectAccessReview and its siblings.
"""

from functools import cache

from lightship.apiserver.access.authn import API_AUDIENCE, INVALID, Authenticator, user_info
from lightship.apiserver.access.authz import Attributes, Authorizer
from lightship.apiserver.paths import Target
from lightship.apiserver.requests import Answer, Request
from lightship.apiserver.served import Served
from lightship.apiserver.verbs import managed
from lightship.apiserver.verbs.write_checks import check_identity
from lightship.kinds import definitions
from lightship.kinds.access import reviews as questions
from lightship.meta import errors, times
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import User, WriteOptions

from . import checks as review_checks

RESOURCES = questions.RESOURCES
_BY_PLACE = {(r.group, r.version, r.plural): r for r in RESOURCES}


def serves(target: Target) -> bool:
    found = _BY_PLACE.get((target.group, target.version, target.resource))
    return found is not None and not target.name and bool(target.namespace) == found.namespaced


def resource(target: Target) -> Resource:
    return _BY_PLACE[target.group, target.version, target.resource]


def answer(asked: Request, body: Obj, options: WriteOptions, authorizer: Authorizer, authenticator: Authenticator, now: float) -> Answer:
    """201 with the question's `status` filled in. Raises 400 and 422 for questions that cannot be understood."""
    kind, group = asked.resource.kind, asked.resource.group
    served = _served(asked.resource)
    check_identity(served, asked, body)
    served.accept(body, options.field_validation, asked.warnings, asked.doubles)
    spec = body.get("spec") or {}
    if kind == "SelfSubjectReview":
        made = {"creationTimestamp": times.rfc3339(now)}
        return _made(asked, made, None, {"userInfo": user_info(asked.user)})
    if kind == "SelfSubjectRulesReview":
        return _made(asked, {}, {}, _rules(authorizer, asked.user, spec.get("namespace") or ""))
    managed.created(managed.of(served, tuple), asked, body, options, times.rfc3339(now))
    if kind == "TokenReview":
        return _made(asked, body["metadata"], spec, _token_review(spec, authenticator))
    causes = review_checks.problems(kind, body)
    if causes:
        raise errors.invalid("", "", causes, group)  # the real server has forgotten the kind by then
    return _made(asked, body["metadata"], spec, _access(spec, asked.user if kind == "SelfSubjectAccessReview" else None, authorizer))


@cache
def _served(found: Resource) -> Served:
    """Compiled when the first question of the kind comes."""
    return Served(found, definitions)


def _made(asked: Request, metadata: Obj, spec: Obj | None, status: Obj) -> Answer:
    head = {"kind": asked.resource.kind, "apiVersion": asked.resource.api_version, "metadata": metadata}
    return Answer(201, obj={**head, **({} if spec is None else {"spec": spec}), "status": status})


def _token_review(spec: Obj, authenticator: Authenticator) -> Obj:
    token = spec.get("token") or ""
    if not token:
        raise errors.bad_request("token is required for TokenReview in authentication")
    found = authenticator.review(token, spec.get("audiences") or (API_AUDIENCE,))
    if isinstance(found, str):
        return {"user": {}, "error": f"[{INVALID}, {found}]" if found else INVALID}
    return {"authenticated": True, "user": user_info(found.user), "audiences": list(found.audiences)}


def _access(spec: Obj, subject: User | None, authorizer: Authorizer) -> Obj:
    if subject is None:
        subject = User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", spec.get("extra") or {})
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes") or {}
    if of_resource is None:
        wish = Attributes(subject, of_path.get("verb") or "", path=of_path.get("path") or "")
    else:
        verb, group, resource, subresource, namespace, name = (
            of_resource.get(field) or "" for field in ("verb", "group", "resource", "subresource", "namespace", "name")
        )
        selector = review_checks.field_selector(of_resource.get("fieldSelector") or {})
        wish = Attributes(subject, verb, group, resource, subresource, namespace, name, selector=selector)
    decision = authorizer.explain(wish)
    status: Obj = {"allowed": decision.allowed}
    if decision.denied:
        status["denied"] = True
    if decision.reason:
        status["reason"] = decision.reason
    if of_resource is not None and (ignored := review_checks.ignored_selectors(of_resource)):
        status["evaluationError"] = ignored
    return status


def _rules(authorizer: Authorizer, user: User, namespace: str) -> Obj:
    if not namespace:
        raise errors.bad_request("no namespace on request")
    found = authorizer.rules_for(user, namespace)
    of_resources: list[Obj] = []
    of_paths: list[Obj] = []
    for rule in found.rules:
        if rule.resources:
            shown: Obj = {"verbs": list(rule.verbs), "apiGroups": list(rule.groups), "resources": list(rule.resources)}
            of_resources.append(shown | ({"resourceNames": list(rule.names)} if rule.names else {}))
        if rule.urls:
            of_paths.append({"verbs": list(rule.verbs), "nonResourceURLs": list(rule.urls)})
    status: Obj = {"resourceRules": of_resources, "nonResourceRules": of_paths, "incomplete": found.incomplete}
    if found.error:
        status["evaluationError"] = found.error
    return status
