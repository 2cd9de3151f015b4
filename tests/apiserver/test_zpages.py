"""`/statusz`, `/flagz` and other pages that are no resources: who gets them as what."""

import pytest

from lightship.apiserver import zpages
from lightship.meta import codec
from lightship.meta.errors import StatusError
from tests.apiserver.http_site import HttpSite, run

OF_KIND = "application/json;as=Statusz;v={};g=config.k8s.io"
STARTED = 1_795_272_245.0


def test_people_get_text() -> None:
    reply = zpages.answer("/statusz", "*/*", STARTED, STARTED + 3 * 3600 + 65, pretty=False)
    assert reply.content_type == "text/plain; charset=utf-8"
    lines = reply.body.decode().splitlines()
    assert lines[1] == "apiserver statusz"
    assert lines[4:6] == ["Started: Sat Nov 21 14:44:05 UTC 2026", "Up: 3 hr 01 min 05 sec"]


def test_programs_name_the_kind() -> None:
    reply = zpages.answer("/statusz", f"{OF_KIND.format('v1beta1')},text/plain", STARTED, STARTED + 7, pretty=False)
    status = codec.decode(reply.body)
    assert (status["kind"], status["apiVersion"], status["uptimeSeconds"]) == ("Statusz", "config.k8s.io/v1beta1", 7)
    assert reply.content_type == "application/json;g=config.k8s.io;v=v1beta1;as=Statusz"
    old = zpages.answer("/statusz", OF_KIND.format("v1alpha1"), STARTED, STARTED, pretty=False)
    assert [name for name, _ in old.headers] == ["Warning"]


@pytest.mark.parametrize(
    "header", ["application/json", "text/html", OF_KIND.format("v2"), OF_KIND.format("v1beta1").replace("Statusz", "Flagz")]
)
def test_others_get_nothing(header: str) -> None:
    with pytest.raises(StatusError) as refused:
        zpages.answer("/statusz", header, STARTED, STARTED, pretty=False)
    assert refused.value.code == 406


@pytest.mark.parametrize(
    ("method", "target", "want"),
    [
        ("GET", "//", 404),
        ("GET", "/index.html", 200),
        ("FOO", "/", 200),
        ("POST", "/apis/apps", 200),
        ("POST", "/apis/apps/v1", 405),
        ("POST", "/api/v1", 405),
        ("GET", "/version/x", 404),
        ("GET", "/version//", 200),
        ("GET", "/flagz/", 404),
        ("GET", "/metrics/slis", 200),
        ("DELETE", "/metrics", 200),
        ("GET", "/apis/example.com/v1", 404),
    ],
)
def test_places(method: str, target: str, want: int) -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        assert (await wire.ask(method, target)).code == want

    run(test)


def test_bad_time_outs_are_refused_before_anything_else() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for target in ("/healthz", "/nope", "/api/v1/configmaps"):
            refused = await wire.ask("GET", f"{target}?timeout=soon", token="")
            assert (refused.code, "x-kubernetes-pf-flowschema-uid" in refused.headers) == (400, False)
        assert (await wire.ask("GET", "/api/v1/namespaces/default/pods/p/log?timeout=soon")).code == 404

    run(test)


def test_documents_that_have_not_changed_are_not_sent_again() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for date, want in (("Sat, 21 Nov 2099 15:00:00 GMT", 304), ("Sat, 21 Nov 1999 15:00:00 GMT", 200), ("soon", 200)):
            answer = await wire.ask("GET", "/openapi/v3/api", if_modified_since=date)
            assert answer.code == want

    run(test)
