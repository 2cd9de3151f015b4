"""Aggregated ClusterRoles: what they are gathered from, and that they stay in step."""

import pytest

from lightship.builtin.clusterroles import gather
from lightship.kinds import CLUSTER_ROLES
from lightship.meta.objects import Obj
from tests.builtin.site import Site, run

READ = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
WRITE = {"verbs": ["update"], "apiGroups": [""], "resources": ["pods"]}
OTHER = {"verbs": ["get"], "apiGroups": ["x"], "resources": ["ys"]}


def role(name: str, *rules: Obj, **labels: str) -> Obj:
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules) or None}


def aggregated(name: str, *selectors: Obj, **labels: str) -> Obj:
    return {"aggregationRule": {"clusterRoleSelectors": list(selectors)}, **role(name, **labels)}


@pytest.mark.parametrize(
    ("selectors", "want"),
    [
        ([{"matchLabels": {"a": "1"}}], [READ, OTHER]),
        ([{"matchLabels": {"b": "1"}}, {"matchLabels": {"a": "1"}}], [READ, WRITE, OTHER]),
        ([{"matchLabels": {"a": "1", "b": "1"}}], [READ]),
        ([{"matchExpressions": [{"key": "a", "operator": "Exists"}]}], [READ, OTHER]),
        ([{"matchLabels": {"nobody": "1"}}], []),
        ([{}], [READ, OTHER, WRITE]),
    ],
)
def test_rules_come_once_in_the_order_of_selectors_and_names(selectors: list[Obj], want: list[Obj]) -> None:
    others = [role("z", WRITE, READ, b="1"), role("m", OTHER, READ, a="1"), role("c", READ, a="1", b="1"), role("n", WRITE)]
    mine = aggregated("all", *selectors, a="1")
    assert gather.rules(mine, [*others, mine]) == want
    assert mine["rules"] is None


def test_a_selector_without_sense_is_told() -> None:
    with pytest.raises(ValueError, match="not a valid label selector operator"):
        gather.rules(aggregated("all", {"matchExpressions": [{"key": "a", "operator": "Bad"}]}), [])


def test_the_default_roles_are_filled_and_follow_new_parts() -> None:
    async def work(here: Site) -> None:
        async def rules_of(name: str) -> list[Obj]:
            return (await here.client.get(CLUSTER_ROLES, name)).get("rules") or []

        async def filled() -> bool:
            view, edit, admin = [len(await rules_of(name)) for name in ("view", "edit", "admin")]
            return 0 < view < edit < admin

        await here.until(filled, "view, edit and admin have rules, each more than the one before")
        part = await here.client.create(CLUSTER_ROLES, role("mine", OTHER, **{"rbac.authorization.k8s.io/aggregate-to-view": "true"}))

        async def added() -> bool:
            return all([OTHER in await rules_of(name) for name in ("view", "edit", "admin")])

        await here.until(added, "the new part is everywhere")
        await here.client.patch(CLUSTER_ROLES, "mine", {"metadata": {"labels": None}})

        async def removed() -> bool:
            return not any([OTHER in await rules_of(name) for name in ("view", "edit", "admin")])

        await here.until(removed, "it is gone again")
        assert part["rules"] == [OTHER]

    run(work)
