"""Nobody gives what he does not have: who may write which role, and who may bind it.

An admission rule that `server` adds for the four kinds of roles and bindings; it runs when all others have had their say in the object,
and before it is validated. The verb `escalate` on a role, or `bind` on what a binding refers to, takes the place of having its rules.
Contract: kube 1.36 pkg/registry/rbac, policybased storages and escalation_check.go.
"""

from collections.abc import Iterable

from lightship.apiserver.access.authn import MASTERS
from lightship.apiserver.access.authz import Attributes, Authorizer
from lightship.apiserver.catalogue import Catalogue
from lightship.meta import errors
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import User

from . import rules
from .index import GROUP, Index
from .rules import Rule

_COLLECTED = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")
"""Metadata that the garbage collector must be able to change in any role."""


def admission(index: Index, authorizer: Authorizer, catalogue: Catalogue) -> list[Admission]:
    """The rules, for servers that serve roles."""
    names = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
    found = [resource for name in names if (resource := catalogue.find(GROUP, "v1", name))]

    async def judge(request: AdmissionRequest) -> None:
        obj = request.obj
        if obj is None or request.operation == "DELETE" or MASTERS in request.user.groups:
            return
        if request.old is not None and _only_collected(obj, request.old):
            return
        if request.resource.plural.endswith("roles"):
            _judge_role(index, authorizer, request, obj)
        else:
            _judge_binding(index, authorizer, request, obj)

    return [Admission(name="RoleEscalation", resources=tuple(found), settle=judge, last=True)] if found else []


def _judge_role(index: Index, authorizer: Authorizer, request: AdmissionRequest, role: Obj) -> None:
    # A role that is being created has no name to the authorizer: its path has none.
    name = request.name if request.old else ""
    plural = request.resource.plural
    if authorizer.allows(Attributes(request.user, "escalate", GROUP, plural, namespace=request.namespace, name=name)):
        return
    _check_holds(index, request, rules.all_of(role))
    if any(((found or {}).get("aggregationRule") or {}).get("clusterRoleSelectors") for found in (role, request.old)):
        try:
            _check_holds(index, request, rules.EVERYTHING)
        except StatusError as error:
            raise _forbidden(request, "must have cluster-admin privileges to use the aggregationRule") from error


def _judge_binding(index: Index, authorizer: Authorizer, request: AdmissionRequest, binding: Obj) -> None:
    ref = binding.get("roleRef") or {}
    kind, name = ref.get("kind") or "", ref.get("name") or ""
    plural = {"Role": "roles", "ClusterRole": "clusterroles"}.get(kind)
    group = ref.get("apiGroup") or ""
    if plural and authorizer.allows(Attributes(request.user, "bind", group, plural, namespace=request.namespace, name=name)):
        return
    _check_holds(index, request, index.role(kind, request.namespace, name, asked=request.resource.plural))


def _check_holds(index: Index, request: AdmissionRequest, wanted: Iterable[Rule]) -> None:
    """Raises 403 that lists what of `wanted` the user does not have."""
    user = request.user
    try:
        lacking = index.rights(user, request.namespace).lack(wanted)
    except ValueError as error:
        raise errors.bad_request(str(error)) from error
    if lacking:
        lost = index.missing_roles(user, request.namespace, asked=request.resource.plural)
        raise _forbidden(request, _complaint(user, lacking, lost))


def _complaint(user: User, lacking: list[Rule], lost: str) -> str:
    who = f"user {rules.quoted(user.name)} (groups={rules.listed(user.groups)})"
    found = "\n".join(rules.described(lacking))
    unresolved = f"; resolution errors: [{lost}]" if lost else ""
    return f"{who} is attempting to grant RBAC permissions not currently held:\n{found}{unresolved}"


def _forbidden(request: AdmissionRequest, why: str) -> StatusError:
    plural, name = request.resource.plural, request.name
    shown = f"{plural}.{GROUP} {rules.quoted(name)}" if name else f"{plural}.{GROUP}"
    return errors.forbidden(f"{shown} is forbidden: {why}", plural, name, GROUP)


def _only_collected(new: Obj, old: Obj) -> bool:
    """Does the change touch nothing but what the garbage collector works with?"""
    return _without_collected(new) == _without_collected(old)


def _without_collected(obj: Obj) -> Obj:
    return {**obj, "metadata": {field: value for field, value in obj["metadata"].items() if field not in _COLLECTED}}
