"""Questions about identity and permission, asked by creating an object that is never stored.

`front` calls `answer` for POSTs to these kinds; discovery lists `RESOURCES`. Knows the authenticator and the authorizer of the front,
nothing of stored objects.
Contract: authentication.k8s.io/v1 TokenReview, SelfSubjectReview; authorization.k8s.io/v1 SubjectAccessReview and its siblings.
"""

from lightship.apiserver.authn import Authenticator
from lightship.apiserver.authz import Attributes, Authorizer
from lightship.apiserver.paths import Target
from lightship.apiserver.requests import Answer
from lightship.meta import errors, times
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import User

_AUTHENTICATION = "authentication.k8s.io"
_AUTHORIZATION = "authorization.k8s.io"


def _review(group: str, kind: str, *, namespaced: bool = False) -> Resource:
    plural = kind.lower() + "s"
    return Resource(group=group, version="v1", kind=kind, plural=plural, singular=kind.lower(), namespaced=namespaced, verbs=("create",))


RESOURCES = (
    _review(_AUTHENTICATION, "SelfSubjectReview"),
    _review(_AUTHENTICATION, "TokenReview"),
    _review(_AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True),
    _review(_AUTHORIZATION, "SelfSubjectAccessReview"),
    _review(_AUTHORIZATION, "SelfSubjectRulesReview"),
    _review(_AUTHORIZATION, "SubjectAccessReview"),
)
_BY_PLACE = {(r.group, r.version, r.plural): r for r in RESOURCES}


def serves(target: Target) -> bool:
    return not target.name and (target.group, target.version, target.resource) in _BY_PLACE


def resource(target: Target) -> Resource:
    return _BY_PLACE[target.group, target.version, target.resource]


def answer(target: Target, body: Obj, user: User, authorizer: Authorizer, authenticator: Authenticator, now: float) -> Answer:
    """201 with the question's `status` filled in. Raises 400 and 422 for questions that cannot be understood."""
    kind = resource(target).kind
    if body.get("kind") not in (None, kind):
        raise errors.bad_request(f'the object of kind "{body["kind"]}" is not the {kind} that this path expects')
    spec = body.get("spec") or {}
    if kind == "SelfSubjectReview":
        status: Obj = {"userInfo": user_info(user)}
    elif kind == "TokenReview":
        status = _token_review(spec, authenticator)
    elif kind == "SelfSubjectRulesReview":
        status = _rules(authorizer, user, spec.get("namespace") or "")
    else:
        subject = user if kind == "SelfSubjectAccessReview" else _subject(kind, spec)
        status = _access(kind, spec, subject, authorizer)
    made = times.rfc3339(now) if kind == "SelfSubjectReview" else None
    head = {"kind": kind, "apiVersion": f"{target.group}/{target.version}", "metadata": {"creationTimestamp": made}}
    return Answer(201, obj={**head, **({"spec": spec} if spec else {}), "status": status})


def user_info(user: User) -> Obj:
    found: Obj = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        found["uid"] = user.uid
    if user.extra:
        found["extra"] = user.extra
    return found


def _token_review(spec: Obj, authenticator: Authenticator) -> Obj:
    token = spec.get("token") or ""
    if not token:
        raise errors.bad_request("token is required for TokenReview in authentication")
    user = authenticator.authenticate(token)
    if user is None:
        return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": user_info(user), "audiences": spec.get("audiences") or []}


def _subject(kind: str, spec: Obj) -> User:
    if not (spec.get("user") or spec.get("groups")):
        cause = errors.invalid_value("spec.user", spec.get("user") or "", "at least one of user or group must be specified")
        raise errors.invalid(kind, "", [cause], _AUTHORIZATION)
    return User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "")


def _access(kind: str, spec: Obj, subject: User, authorizer: Authorizer) -> Obj:
    of_resource: Obj = spec.get("resourceAttributes") or {}
    of_path: Obj = spec.get("nonResourceAttributes") or {}
    if bool(of_resource) == bool(of_path):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise errors.invalid(kind, "", [errors.invalid_value("spec.resourceAttributes", None, text)], _AUTHORIZATION)
    if of_resource:
        return {"allowed": authorizer.allows(_resource_wish(subject, of_resource))}
    return {"allowed": authorizer.allows(Attributes(subject, of_path.get("verb") or "", path=of_path.get("path") or ""))}


def _resource_wish(subject: User, asked: Obj) -> Attributes:
    fields = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Attributes(subject, *(asked.get(field) or "" for field in fields))


def _rules(authorizer: Authorizer, user: User, namespace: str) -> Obj:
    """An authorizer answers questions and lists no rules: all we can tell is whether everything is allowed."""
    if authorizer.allows(Attributes(user, "*", "*", "*", "", namespace)):
        anything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        return {"resourceRules": [anything], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}], "incomplete": False}
    return {"resourceRules": [], "nonResourceRules": [], "incomplete": True, "evaluationError": "rules are not listed by this authorizer"}
