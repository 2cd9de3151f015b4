"""Which flow a request belongs to: the first FlowSchema, by precedence and name, one of whose rules knows the user and the wish. Pure.

Called by `gate`, which remembers the answers. Contract: flowcontrol.apiserver.k8s.io/v1 FlowSchema; k8s.io/apiserver
pkg/util/flowcontrol/rule.go.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.apiserver.access.authz import Attributes
from lightship.meta.objects import Obj
from lightship.meta.rest import User

_SERVICE_ACCOUNT = "system:serviceaccount:"


class Flow(NamedTuple):
    """Where a request queues: names and uids of its schema and level, and what tells its flow from others of the schema."""

    schema: str
    schema_uid: str
    level: str
    level_uid: str
    distinguisher: str = ""


def ordered(schemas: Iterable[Obj]) -> list[Obj]:
    """Flow schemas as they are tried: by precedence, then by name."""
    return sorted(schemas, key=lambda s: (s["spec"].get("matchingPrecedence") or 1000, s["metadata"]["name"]))


def classify(schemas: Iterable[Obj], levels: dict[str, Obj], wish: Attributes) -> Flow | None:
    """The flow of a wish; None when no schema matches, or the one that does names a level that is not there."""
    for schema in schemas:
        spec = schema["spec"]
        level = levels.get((spec.get("priorityLevelConfiguration") or {}).get("name") or "")
        if level is None or not any(_matches(rule, wish) for rule in spec.get("rules") or ()):
            continue
        meta, level_meta = schema["metadata"], level["metadata"]
        by = (spec.get("distinguisherMethod") or {}).get("type")
        distinguisher = wish.user.name if by == "ByUser" else wish.namespace if by == "ByNamespace" else ""
        return Flow(meta["name"], meta["uid"], level_meta["name"], level_meta["uid"], distinguisher)
    return None


def _matches(rule: Obj, wish: Attributes) -> bool:
    if not any(_is_subject(subject, wish.user) for subject in rule.get("subjects") or ()):
        return False
    if wish.resource:
        return any(_covers(known, wish) for known in rule.get("resourceRules") or ())
    return any(_covers_path(known, wish) for known in rule.get("nonResourceRules") or ())


def _is_subject(subject: Obj, user: User) -> bool:
    kind = subject.get("kind")
    if kind == "User":
        return (subject.get("user") or {}).get("name") in ("*", user.name)
    if kind == "Group":
        name = (subject.get("group") or {}).get("name")
        return name == "*" or name in user.groups
    account = subject.get("serviceAccount") or {}
    if kind != "ServiceAccount" or not user.name.startswith(_SERVICE_ACCOUNT):
        return False
    namespace, _, name = user.name.removeprefix(_SERVICE_ACCOUNT).partition(":")
    return account.get("namespace") == namespace and account.get("name") in ("*", name)


def _covers(rule: Obj, wish: Attributes) -> bool:
    resource = f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource
    if not (_has(rule, "verbs", wish.verb) and _has(rule, "apiGroups", wish.group) and _has(rule, "resources", resource)):
        return False
    return _has(rule, "namespaces", wish.namespace) if wish.namespace else bool(rule.get("clusterScope"))


def _covers_path(rule: Obj, wish: Attributes) -> bool:
    if not _has(rule, "verbs", wish.verb):
        return False
    urls = rule.get("nonResourceURLs") or ()
    return any(url in ("*", wish.path) or (url.endswith("*") and wish.path.startswith(url[:-1])) for url in urls)


def _has(rule: Obj, field: str, wanted: str) -> bool:
    items = rule.get(field) or ()
    return "*" in items or wanted in items
