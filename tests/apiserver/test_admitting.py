"""Bodies of requests that write no object of their own: what is no such object is refused, whoever is to be asked about it."""

from typing import Any

import pytest

from .http_site import PODS, HttpSite, pod, run

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("a/binding", "Binding", {"kind": "Foo", "metadata": {"name": "a"}}),
        ("a/binding", "Binding", {"metadata": [], "target": {"name": "n"}}),
        ("a/binding", "Binding", {"metadata": {"name": "a"}, "target": "n"}),
        ("a/binding", "Binding", {"metadata": {"name": "a", "labels": ["x"]}, "target": {"name": "n"}}),
        ("a/eviction", "Eviction", {"apiVersion": "v1", "kind": "Eviction", "metadata": {"name": "a"}}),
        ("a/eviction", "Eviction", {"metadata": {"name": "a"}, "deleteOptions": 3}),
        ("a/eviction", "Eviction", {"metadata": {"name": "a", "namespace": 3}}),
    ],
)
def test_what_is_none_is_refused(path: str, kind: str, body: Any) -> None:
    async def test(site: HttpSite) -> None:
        policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings"
        assert (await site.ask("POST", policies, {"metadata": {"name": "p"}, "spec": {"policyName": "p"}})).code == 201
        assert (await site.ask("POST", PODS, pod("a"))).code == 201
        answer = await site.ask("POST", f"{PODS}/{path}", body)
        assert answer.code == 400, answer.obj
        assert f"as a {kind}" in answer.obj["message"]

    run(test)
