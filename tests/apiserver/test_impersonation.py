"""Acting as somebody else: who may, as whom, and that nothing of one's own rights comes along."""

import pytest

from lightship.apiserver import impersonation
from lightship.meta.errors import StatusError
from lightship.meta.rest import User

from .http_site import HttpSite, run

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


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
        refused = await site.ask("GET", "/version", token="joe-token", impersonate_user="admin")
        assert refused.code == 403
        assert 'cannot impersonate resource "users"' in refused.obj["message"]

    run(test)


def test_groups_without_a_user_are_refused() -> None:
    with pytest.raises(StatusError) as refused:
        impersonation.wanted({b"impersonate-group": b"system:masters"})
    assert refused.value.code == 400


def test_a_service_account_brings_its_groups() -> None:
    found = impersonation.wanted({b"impersonate-user": b"system:serviceaccount:ns:bot"})
    want_groups = ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert found == User("system:serviceaccount:ns:bot", want_groups)
    asked = list(impersonation.wishes(User("admin"), found, {}))
    assert [(w.resource, w.namespace, w.name) for w in asked] == [("serviceaccounts", "ns", "bot")]


def test_each_group_uid_and_extra_is_asked_for() -> None:
    headers = {b"impersonate-user": b"joe", b"impersonate-group": b"a\nb", b"impersonate-uid": b"7", b"impersonate-extra-x%2fy": b"1\n2"}
    user = impersonation.wanted(headers)
    assert user.extra == {"x/y": ["1", "2"]}
    asked = [(w.resource, w.subresource, w.name) for w in impersonation.wishes(User("admin"), user, headers)]
    assert asked == [
        ("users", "", "joe"),
        ("groups", "", "a"),
        ("groups", "", "b"),
        ("uids", "", "7"),
        ("userextras", "x/y", "1"),
        ("userextras", "x/y", "2"),
    ]
