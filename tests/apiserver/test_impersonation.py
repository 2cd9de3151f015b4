"""Acting as somebody else: who may, as whom, and that nothing of one's own rights comes along."""

from typing import Any

import pytest

from lightship.apiserver.access import impersonation
from lightship.apiserver.access.authz import Attributes, Decision, Rules
from lightship.meta.errors import StatusError
from lightship.meta.rest import User

from .http_site import HttpSite, run

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
LIST_PODS = Attributes(User("joe"), "list", "", "pods", "", "default")


class Lists:
    """An authorizer that allows what is on its list: `verb resource name`."""

    def __init__(self, *allowed: str) -> None:
        self._allowed = set(allowed)

    def allows(self, wish: Attributes) -> bool:
        resource = f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource
        return f"{wish.verb} {resource} {wish.name}".strip() in self._allowed

    def explain(self, wish: Attributes) -> Decision:
        return Decision(self.allows(wish))

    def rules_for(self, user: User, namespace: str) -> Rules:
        return Rules(())


def user(headers: dict[bytes, bytes]) -> User:
    found = impersonation.wanted(headers)
    assert found is not None
    return found


def test_the_administrator_gives_up_his_rights_when_he_is_somebody_else() -> None:
    async def test(site: HttpSite) -> None:
        refused = await site.ask("GET", CONFIG_MAPS, impersonate_user="joe")
        assert (refused.code, refused.obj["reason"]) == (403, "Forbidden")
        assert 'User "joe" cannot list resource "configmaps"' in refused.obj["message"]
        assert (await site.ask("GET", CONFIG_MAPS, impersonate_user="joe", impersonate_group="system:masters")).code == 200
        me = await site.ask("POST", WHO_AM_I, REVIEW, impersonate_user="joe", impersonate_group="dev", impersonate_extra_reason="test")
        found = me.obj["status"]["userInfo"]
        assert found == {"username": "joe", "groups": ["dev", "system:authenticated"], "extra": {"reason": ["test"]}}

    run(test)


def test_others_may_not() -> None:
    async def test(site: HttpSite) -> None:
        for path, want in (
            ("/version", 'forbidden: User "joe" cannot impersonate-on:user-info:get path "/version"'),
            (CONFIG_MAPS, 'configmaps is forbidden: User "joe" cannot impersonate-on:user-info:list resource "configmaps"'),
        ):
            refused = await site.ask("GET", path, token="joe-token", impersonate_user="admin")
            assert refused.code == 403
            assert refused.obj["message"].startswith(want)

    run(test)


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({b"impersonate-group": b"a\nb"}, 'UID:"", Groups:[]string{"a", "b"}, Extra:map[string][]string(nil)'),
        ({b"impersonate-uid": b"7"}, 'UID:"7", Groups:[]string(nil), Extra:map[string][]string(nil)'),
        ({b"impersonate-extra-x%2fy": b"1"}, 'UID:"", Groups:[]string(nil), Extra:map[string][]string{"x/y":[]string{"1"}}'),
    ],
)
def test_groups_uid_or_extra_without_a_user_are_refused(headers: dict[bytes, bytes], shown: str) -> None:
    with pytest.raises(StatusError) as refused:
        impersonation.wanted(headers)
    assert refused.value.code == 400
    assert refused.value.message == f'requested &user.DefaultInfo{{Name:"", {shown}}} without impersonating a user name'


def test_headers_of_nobody_mean_nothing() -> None:
    assert impersonation.wanted({b"impersonate-user": b""}) is None


ACCOUNT_GROUPS = ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")


@pytest.mark.parametrize(
    ("headers", "allowed", "want"),
    [
        ({b"user": b"ann"}, ["impersonate users ann"], ("system:authenticated",)),
        ({b"user": b"ann", b"group": b"a\nb"}, ["impersonate users ann", "impersonate groups a"], None),
        (
            {b"user": b"ann", b"group": b"a\nb"},
            ["impersonate users ann", "impersonate groups a", "impersonate groups b"],
            ("a", "b", "system:authenticated"),
        ),
        ({b"user": b"ann", b"uid": b"7"}, ["impersonate users ann"], None),
        ({b"user": b"ann", b"uid": b"7"}, ["impersonate users ann", "impersonate uids 7"], ("system:authenticated",)),
        ({b"user": b"ann", b"extra-k": b"1\n2"}, ["impersonate users ann", "impersonate userextras/k 1"], None),
        (
            {b"user": b"ann", b"extra-k": b"1\n2"},
            ["impersonate users ann", "impersonate userextras/k 1", "impersonate userextras/k 2"],
            ("system:authenticated",),
        ),
        ({b"user": b"system:anonymous"}, ["impersonate users system:anonymous"], ("system:unauthenticated",)),
        ({b"user": b"system:serviceaccount:ns:bot"}, ["impersonate serviceaccounts bot"], ACCOUNT_GROUPS),
        ({b"user": b"system:serviceaccount:ns:bot"}, ["impersonate users system:serviceaccount:ns:bot"], None),
        # Constrained: to be somebody, and to do this while being somebody. One without the other is nothing.
        ({b"user": b"ann"}, ["impersonate:user-info users ann"], None),
        ({b"user": b"ann"}, ["impersonate-on:user-info:list pods"], None),
        ({b"user": b"ann"}, ["impersonate:user-info users ann", "impersonate-on:user-info:get pods"], None),
        ({b"user": b"ann"}, ["impersonate:user-info users ann", "impersonate-on:user-info:list pods"], ("system:authenticated",)),
        (
            {b"user": b"system:serviceaccount:ns:bot"},
            ["impersonate:serviceaccount serviceaccounts bot", "impersonate-on:serviceaccount:list pods"],
            ACCOUNT_GROUPS,
        ),
        (
            {b"user": b"system:node:n1"},
            ["impersonate:arbitrary-node nodes n1", "impersonate-on:arbitrary-node:list pods"],
            ("system:nodes", "system:authenticated"),
        ),
        ({b"user": b"system:node:n1"}, ["impersonate:user-info users system:node:n1", "impersonate-on:user-info:list pods"], None),
        # Masters cannot be had the constrained way, only by leave for the group itself.
        (
            {b"user": b"ann", b"group": b"system:masters"},
            ["impersonate-on:user-info:list pods", "impersonate:user-info users ann", "impersonate:user-info groups system:masters"],
            None,
        ),
        (
            {b"user": b"ann", b"group": b"a\nb\nc\nd"},
            ["impersonate-on:user-info:list pods", "impersonate:user-info users ann", "impersonate:user-info groups *"],
            ("a", "b", "c", "d", "system:authenticated"),
        ),
        (
            {b"user": b"ann", b"extra-k": b"1"},  # a key without a domain is none for the constrained way
            ["impersonate-on:user-info:list pods", "impersonate:user-info users ann", "impersonate:user-info userextras/k 1"],
            None,
        ),
        (
            {b"user": b"ann", b"extra-a.io%2fk": b"1"},
            ["impersonate-on:user-info:list pods", "impersonate:user-info users ann", "impersonate:user-info userextras/a.io/k 1"],
            ("system:authenticated",),
        ),
    ],
)
def test_who_may_be_whom(headers: dict[bytes, bytes], allowed: list[str], want: Any) -> None:
    wanted = user({b"impersonate-" + name: value for name, value in headers.items()})
    if want is None:
        with pytest.raises(StatusError) as refused:
            impersonation.become(Lists(*allowed), LIST_PODS, wanted)
        assert refused.value.code == 403
    else:
        assert impersonation.become(Lists(*allowed), LIST_PODS, wanted).groups == want


def test_a_pod_may_be_its_own_node_only() -> None:
    allowed = Lists("impersonate:associated-node nodes *", "impersonate-on:associated-node:list pods")
    pod = User("system:serviceaccount:ns:agent", extra={"authentication.kubernetes.io/node-name": ["n1"]})
    become = impersonation.become(allowed, LIST_PODS._replace(user=pod), user({b"impersonate-user": b"system:node:n1"}))
    assert (become.name, become.groups) == ("system:node:n1", ("system:nodes", "system:authenticated"))
    with pytest.raises(StatusError):
        impersonation.become(allowed, LIST_PODS._replace(user=pod), user({b"impersonate-user": b"system:node:n2"}))
