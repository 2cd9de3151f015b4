"""How much of a request is written into the audit trail: the first rule that knows it decides. Pure.

`trail` asks once a request; answers are remembered by user and wish. Read from the YAML that kube-apiserver takes too.
Contract: audit.k8s.io/v1 Policy; k8s.io/apiserver pkg/audit/policy.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from lightship.apiserver.access.authz import Attributes
from lightship.meta.objects import Obj

STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
_REMEMBERED = 4096


class Level(IntEnum):
    """What is written, each with all of those before it."""

    None_ = 0
    Metadata = 1
    Request = 2
    RequestResponse = 3


_LEVELS = {"None": Level.None_, "Metadata": Level.Metadata, "Request": Level.Request, "RequestResponse": Level.RequestResponse}


class Wanted(NamedTuple):
    """What the policy wants of one request."""

    level: Level
    omitted: frozenset[str]
    omit_managed_fields: bool = False


NOTHING = Wanted(Level.None_, frozenset())


class Policy:
    """A valid policy; make it with `parse_policy`."""

    def __init__(self, document: Obj) -> None:
        self._rules: list[Obj] = document.get("rules") or []
        self._omitted = frozenset(document.get("omitStages") or ())
        self._omit_managed = bool(document.get("omitManagedFields"))
        self._known: dict[tuple[object, ...], Wanted] = {}

    def wanted(self, wish: Attributes) -> Wanted:
        """What to write of a request; nothing where no rule knows it."""
        user = wish.user
        asked = (user.name, user.groups, *wish[1:])
        found = self._known.get(asked)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[asked] = self._decide(wish)
        return found

    def _decide(self, wish: Attributes) -> Wanted:
        for rule in self._rules:
            if _matches(rule, wish):
                omit = rule.get("omitManagedFields")
                omitted = self._omitted | frozenset(rule.get("omitStages") or ())
                return Wanted(_LEVELS[rule["level"]], omitted, self._omit_managed if omit is None else bool(omit))
        return NOTHING


def parse_policy(document: Any) -> Policy:
    """The policy in a decoded YAML or JSON document. Raises `ValueError` with all that is wrong with it."""
    if not isinstance(document, dict) or document.get("kind") != "Policy" or document.get("apiVersion") != "audit.k8s.io/v1":
        raise ValueError("an audit policy must be an object of apiVersion audit.k8s.io/v1 and kind Policy")
    rules = document.get("rules")
    if not isinstance(rules, list) or not rules or not all(isinstance(rule, dict) for rule in rules):
        raise ValueError("an audit policy needs rules: a list with at least one")
    problems = [*_bad_stages(document, ""), *(problem for number, rule in enumerate(rules) for problem in _bad_rule(rule, number))]
    if problems:
        raise ValueError("; ".join(problems))
    return Policy(document)


def _bad_rule(rule: Obj, number: int) -> Iterator[str]:
    path = f"rules[{number}]"
    if rule.get("level") not in _LEVELS:
        yield f'{path}.level: Unsupported value: "{rule.get("level") or ""}": supported values: {", ".join(_LEVELS)}'
    yield from _bad_stages(rule, f"{path}.")
    if rule.get("nonResourceURLs") and (rule.get("resources") or rule.get("namespaces")):
        yield f"{path}.nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs"
    for url in rule.get("nonResourceURLs") or ():
        if url != "*" and not str(url).startswith("/"):
            yield f"{path}.nonResourceURLs: non-resource URL rules must begin with a '/' character"
        elif "*" in str(url)[:-1]:
            yield f"{path}.nonResourceURLs: non-resource URL wildcards '*' must be the final character of the rule"
    for resources in rule.get("resources") or ():
        if resources.get("resourceNames") and not resources.get("resources"):
            yield f"{path}.resources.resourceNames: using resourceNames requires at least one resource"


def _bad_stages(holder: Obj, path: str) -> Iterator[str]:
    for stage in holder.get("omitStages") or ():
        if stage not in STAGES:
            yield f'{path}omitStages: Invalid value: "{stage}": allowed stages are {",".join(STAGES)}'


def _matches(rule: Obj, wish: Attributes) -> bool:
    user = wish.user
    if rule.get("users") and user.name not in rule["users"]:
        return False
    if rule.get("userGroups") and not set(rule["userGroups"]) & set(user.groups):
        return False
    if rule.get("verbs") and wish.verb not in rule["verbs"]:
        return False
    if rule.get("namespaces") or rule.get("resources"):
        return bool(wish.resource) and _knows_resource(rule, wish)
    if rule.get("nonResourceURLs"):
        return not wish.resource and any(_knows_path(url, wish.path) for url in rule["nonResourceURLs"])
    return True


def _knows_resource(rule: Obj, wish: Attributes) -> bool:
    if rule.get("namespaces") and wish.namespace not in rule["namespaces"]:
        return False
    groups = rule.get("resources")
    return not groups or any(_in_group(group, wish) for group in groups)


def _in_group(group: Obj, wish: Attributes) -> bool:
    if (group.get("group") or "") not in ("*", wish.group):
        return False
    if not group.get("resources"):
        return True
    if group.get("resourceNames") and wish.name not in group["resourceNames"]:
        return False
    combined = f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource
    names = {combined, "*", f"{wish.resource}/*"} | ({f"*/{wish.subresource}"} if wish.subresource else set())
    return not names.isdisjoint(group["resources"])


def _knows_path(url: str, path: str) -> bool:
    return url in ("*", path) or (url.endswith("*") and path.startswith(url.rstrip("*")))
