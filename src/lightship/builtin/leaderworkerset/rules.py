"""Defaults and validation of LeaderWorkerSets: what upstream's admission webhooks do besides the schema.

Pure. Our server calls `default` on every write; `validate` stands behind `admission`, and the controllers call `defaulted` before they
decide, since a server that has only the definition calls neither. Messages are upstream's.
Contract: LeaderWorkerSet 0.9, leaderworkerset webhook.
"""

from lightship.builtin.leaderworkerset import terms
from lightship.builtin.shares import scaled
from lightship.kinds.workloads.rollout_checks import at_most_all, count_or_percent
from lightship.meta import names, objects
from lightship.meta.errors import Cause, invalid_value
from lightship.meta.objects import Obj

MAX_INT32 = 2**31 - 1
_TEMPLATE = "spec.leaderWorkerTemplate"
_ROLLING = "spec.rolloutStrategy.rollingUpdateConfiguration"
_SUBGROUP_SIZE = f"{_TEMPLATE}.SubGroupPolicy.subGroupSize"
_NOT_NEGATIVE = "must be greater than or equal to 0"


def default(lws: Obj) -> None:
    """Fill, in place, what the API promises to be there. What is no object is left for the schema to refuse."""
    spec = _child(lws, "spec")
    template = _child(spec, "leaderWorkerTemplate")
    policy = template.get("restartPolicy") or terms.RECREATE
    template["restartPolicy"] = "None" if policy == "Default" else policy
    strategy = _child(spec, "rolloutStrategy")
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdateConfiguration") is None:
        strategy["rollingUpdateConfiguration"] = {"maxUnavailable": 1, "maxSurge": 0, "partition": 0}
    network = _child(spec, "networkConfig")
    if network.get("subdomainPolicy") is None:
        network["subdomainPolicy"] = terms.SHARED


def defaulted(lws: Obj) -> Obj:
    """A set with its defaults, whoever stored it."""
    filled: Obj = objects.copy(lws)
    default(filled)
    return filled


def _child(parent: Obj, field: str) -> Obj:
    """The object in a field, made if it is missing; one that nobody keeps where something else stands."""
    if parent.get(field) is None:
        parent[field] = {}
    found = parent[field]
    return found if isinstance(found, dict) else {}


def replicas(lws: Obj) -> int:
    """Groups that there shall be."""
    given = objects.spec(lws).get("replicas")
    return 1 if given is None else int(given)


def size(lws: Obj) -> int:
    """Pods of a group, the leader among them."""
    given = template(lws).get("size")
    return 1 if given is None else int(given)


def template(lws: Obj) -> Obj:
    return objects.spec(lws).get("leaderWorkerTemplate") or {}


def subgroup(lws: Obj) -> Obj | None:
    found: Obj | None = template(lws).get("subGroupPolicy")
    return found


def rolling(lws: Obj) -> Obj:
    return objects.get_path(lws, "spec", "rolloutStrategy", "rollingUpdateConfiguration") or {}


def partition(lws: Obj) -> int:
    """Groups below this index are not updated."""
    return int(rolling(lws).get("partition") or 0)


def is_unique(lws: Obj) -> bool:
    """Has every group a subdomain of its own?"""
    return bool(objects.get_path(lws, "spec", "networkConfig", "subdomainPolicy") == terms.UNIQUE)


def validate(new: Obj, old: Obj | None) -> list[Cause]:
    """What is wrong with a set; `old` is what it was before an update. Both have their defaults."""
    found = _name(new) + _numbers(new) + _strategy(new)
    policy = subgroup(new)
    if policy is not None:
        found += _subgroups(size(new), policy)
    elif terms.SUBGROUP_EXCLUSIVE in objects.annotations(new):
        path, value = f"metadata.annotations.{terms.SUBGROUP_EXCLUSIVE}", objects.annotations(new)[terms.SUBGROUP_EXCLUSIVE]
        found.append(invalid_value(path, value, "cannot have subgroup-exclusive-topology without subGroupSize set"))
    return found if old is None else found + _changes(policy, subgroup(old))


def _name(lws: Obj) -> list[Cause]:
    """It is the name of a Service, too."""
    name = objects.name(lws)
    return [invalid_value("metadata.name", name, problem) for problem in names.problems(name, "label1035")] if name else []


def _numbers(lws: Obj) -> list[Cause]:
    found = []
    if replicas(lws) < 0:
        found.append(invalid_value("spec.replicas", replicas(lws), "replicas must be equal or greater than 0"))
    if size(lws) < 1:
        found.append(invalid_value(f"{_TEMPLATE}.size", size(lws), "size must be equal or greater than 1"))
    if replicas(lws) * size(lws) > MAX_INT32:
        message = f"the product of replicas and worker replicas must not exceed {MAX_INT32}"
        found.append(invalid_value("spec.replicas", replicas(lws), message))
    return found


def _strategy(lws: Obj) -> list[Cause]:
    given, found = rolling(lws), []
    down, more = given.get("maxUnavailable", 1), given.get("maxSurge", 0)
    for field, value in (("maxUnavailable", down), ("maxSurge", more)):
        found += count_or_percent(f"{_ROLLING}.{field}", value) + at_most_all(f"{_ROLLING}.{field}", value)
    if partition(lws) < 0:
        found.append(invalid_value(f"{_ROLLING}.partition", partition(lws), _NOT_NEGATIVE))
    broken = [field for field, value in (("maxUnavailable", down), ("maxSurge", more)) if _is_broken(value)]
    found += [invalid_value(f"{_ROLLING}.{field}", given[field], "invalid value") for field in broken]
    counts = [0 if _is_broken(value) else scaled(value, replicas(lws), up=up) for value, up in ((down, False), (more, True))]
    if counts == [0, 0] and replicas(lws) != 0:
        found.append(invalid_value(f"{_ROLLING}.maxUnavailable", down, "must not be 0 when `maxSurge` is 0"))
    return found


def _is_broken(value: object) -> bool:
    """A text that is no percentage at all."""
    return isinstance(value, str) and not (value.endswith("%") and value[:-1].lstrip("+-").isdecimal())


def _subgroups(size: int, policy: Obj) -> list[Cause]:
    each = int(policy.get("subGroupSize") or 0)
    if each < 1:
        return [invalid_value(_SUBGROUP_SIZE, each, "subGroupSize must be equal or greater than 1")]
    found = []
    if size % each and (size - 1) % each:
        found.append("size or size - 1 must be divisible by subGroupSize")
    if size < each:
        found.append("subGroupSize cannot be larger than size")
    if policy.get("subGroupPolicyType") == terms.LEADER_EXCLUDED and (size - 1) % each:
        found.append("size-1 must be divisible by subGroupSize when using LeaderExcluded")
    return [invalid_value(_SUBGROUP_SIZE, each, message) for message in found]


def _changes(new: Obj | None, old: Obj | None) -> list[Cause]:
    """Subgroups are there from the beginning or never, and of one size."""
    size, before = (policy.get("subGroupSize") if policy is not None else None for policy in (new, old))
    if new is not None and old is not None:
        return [invalid_value(_SUBGROUP_SIZE, size, "field is immutable")] if size != before else []
    if new is not None:
        return [invalid_value(_SUBGROUP_SIZE, size, "cannot enable subGroupSize after the lws is already created")]
    return [invalid_value(_SUBGROUP_SIZE, before, "cannot remove subGroupSize after enabled")] if old is not None else []
