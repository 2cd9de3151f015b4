"""What an aggregated ClusterRole consists of: the rules of all others whose labels its selectors match. Pure.

Called by `controller`. Contract: rbac/v1 AggregationRule; kube-controller-manager pkg/controller/clusterroleaggregation.
"""

from collections.abc import Iterable

from lightship.meta import objects, selectors
from lightship.meta.objects import Obj

SELECTORS = "clusterRoleSelectors"


def is_aggregated(role: Obj) -> bool:
    return bool((role.get("aggregationRule") or {}).get(SELECTORS))


def rules(role: Obj, roles: Iterable[Obj]) -> list[Obj]:
    """The rules that `role` should have, each once, in the order of its selectors and then of names.

    Raises `ValueError` for a selector that makes no sense.
    """
    others = sorted((other for other in roles if objects.name(other) != objects.name(role)), key=objects.name)
    found: list[Obj] = []
    for selector in role["aggregationRule"][SELECTORS]:
        matches = selectors.from_label_selector(selector).matches
        for other in others:
            if matches(objects.labels(other)):
                found += [rule for rule in other.get("rules") or () if rule not in found]
    return found
