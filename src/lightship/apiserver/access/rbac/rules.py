"""Policy rules as values: what one allows, what a set of them covers, and how a missing one is told. Pure.

Called by `index` (decisions), `escalation` and `bootstrap` (coverage). A rule is compiled once into sets, however often it is asked.
Contract: rbac/v1 PolicyRule; kube 1.36 evaluation_helpers, policy_comparator and policy_compact.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lightship.meta import codec
from lightship.meta.objects import Obj

ALL = "*"
MOST_PARTS = 20_000
"""Verbs times resources times names that a role may grant when its author must have them himself."""
_MOST_KNOWN = 512
_NONE: frozenset[str] = frozenset()


class Rule(NamedTuple):
    """One PolicyRule; absent lists are empty."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


EVERYTHING = (Rule((ALL,), (ALL,), (ALL,)), Rule((ALL,), urls=(ALL,)))
"""What a cluster's administrator may."""


def of(rule: Obj) -> Rule:
    """A rule as it stands in a role."""
    return Rule(
        tuple(rule.get("verbs") or ()),
        tuple(rule.get("apiGroups") or ()),
        tuple(rule.get("resources") or ()),
        tuple(rule.get("resourceNames") or ()),
        tuple(rule.get("nonResourceURLs") or ()),
    )


def all_of(role: Obj) -> tuple[Rule, ...]:
    """All rules of a role."""
    return tuple(of(rule) for rule in role.get("rules") or ())


def obj(rule: Rule) -> Obj:
    """The rule as it would stand in a role."""
    fields = {
        "apiGroups": rule.groups,
        "nonResourceURLs": rule.urls,
        "resourceNames": rule.names,
        "resources": rule.resources,
        "verbs": rule.verbs,
    }
    return {name: list(values) for name, values in fields.items() if values}


def allows_resource(rule: Rule, verb: str, resource: str, subresource: str) -> bool:
    """Does a rule of the right group allow this for at least some names (all when `rule.names` is empty)?"""
    if not (verb in rule.verbs or ALL in rule.verbs):
        return False
    if ALL in rule.resources:
        return True
    if not subresource:
        return resource in rule.resources
    return f"{resource}/{subresource}" in rule.resources or f"*/{subresource}" in rule.resources


def allows_path(rule: Rule, verb: str, path: str) -> bool:
    return (verb in rule.verbs or ALL in rule.verbs) and any(_url_covers(url, path) for url in rule.urls)


def _url_covers(url: str, path: str) -> bool:
    return url in (path, ALL) or (url.endswith("*") and path.startswith(url.rstrip("*")))


class Rights:
    """A set of rules, such as all that one user has in one namespace, made ready to be asked."""

    __slots__ = ("_by_group", "_known", "_of_paths", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._by_group: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for group in dict.fromkeys(rule.groups):
                self._by_group.setdefault(group, []).append(rule)
        self._of_paths = [rule for rule in self.rules if rule.urls]
        self._known: dict[tuple[str, str, str, str], frozenset[str] | None] = {}

    def allow(self, verb: str, group: str, resource: str, subresource: str, name: str) -> bool:
        """The question of every request."""
        try:
            names = self._known[verb, group, resource, subresource]
        except KeyError:
            names = self._names(verb, group, resource, subresource)
        return names is None or name in names

    def allow_path(self, verb: str, path: str) -> bool:
        return any(allows_path(rule, verb, path) for rule in self._of_paths)

    def lack(self, wanted: Iterable[Rule]) -> list[Rule]:
        """What of `wanted`, broken down, these rules do not cover. Raises `ValueError` for rules that say too much to be looked at."""
        return [rule for rule in dict.fromkeys(_limited(broken_down(wanted))) if not self._covers(rule)]

    def _names(self, verb: str, group: str, resource: str, subresource: str) -> frozenset[str] | None:
        """Of which objects this is allowed; None for all."""
        question = (verb, group, resource, subresource)
        if question in self._known:
            return self._known[question]
        found: set[str] = set()
        for rule in (*self._by_group.get(group, ()), *(self._by_group.get(ALL, ()) if group != ALL else ())):
            if allows_resource(rule, verb, resource, subresource):
                if not rule.names:
                    found.clear()
                    break
                found.update(rule.names)
        else:
            if not found:
                return _NONE  # not remembered: who is refused may ask for anything, and at any length
        names = frozenset(found) if found else None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[question] = names
        return names

    def _covers(self, rule: Rule) -> bool:
        verb = rule.verbs[0]
        if rule.urls:
            return self.allow_path(verb, rule.urls[0])
        resource, _, subresource = rule.resources[0].partition("/")
        names = self._names(verb, rule.groups[0], resource, subresource)
        return names is None or (bool(rule.names) and rule.names[0] in names)


def broken_down(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Rules of one verb, one resource and one name each, which together say the same."""
    for rule in rules:
        for group in rule.groups:
            for resource in rule.resources:
                for verb in rule.verbs:
                    if rule.names:
                        yield from (Rule((verb,), (group,), (resource,), (name,)) for name in rule.names)
                    else:
                        yield Rule((verb,), (group,), (resource,))
        for url in rule.urls:
            yield from (Rule((verb,), urls=(url,)) for verb in rule.verbs)


def _limited(rules: Iterable[Rule]) -> Iterator[Rule]:
    for count, rule in enumerate(rules):
        if count >= MOST_PARTS:
            raise ValueError(f"the rules say more than {MOST_PARTS} things, which is too much to compare with what their author may do")
        yield rule


def described(rules: Iterable[Rule]) -> list[str]:
    """The rules in the words of the real server's refusals, those that differ in their verb only taken together; sorted."""
    verbs: dict[Rule, list[str]] = {}
    for rule in rules:
        key = rule if rule.urls else rule._replace(verbs=())
        verbs.setdefault(key, []).extend(() if rule.urls else rule.verbs)
    return sorted({_text(key._replace(verbs=tuple(found)) if found else key) for key, found in verbs.items()})


def _text(rule: Rule) -> str:
    fields = (
        ("APIGroups", rule.groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.urls),
        ("ResourceNames", rule.names),
        ("Verbs", rule.verbs),
    )
    return "{" + ", ".join(f"{name}:{listed(values)}" for name, values in fields if values) + "}"


def quoted(text: str) -> str:
    """A string as Go prints it with %q."""
    return codec.encode(text).decode()


def listed(values: Iterable[str]) -> str:
    """A list of strings as Go prints it with %q."""
    return "[" + " ".join(map(quoted, values)) + "]"
