"""Tokens sign what new nodes read, and go when their time is over."""

import base64

from lightship.builtin import bootstraptokens
from lightship.kinds import CONFIG_MAPS, NAMESPACES, SECRETS
from lightship.meta import times
from lightship.meta.objects import Obj
from tests.builtin.site import Site, run


def test_a_signature_is_upstreams() -> None:
    found = bootstraptokens.signature(
        *("Hello from the other side. I must have called a thousand times.", "joshua", "my voice is my passcode")
    )
    assert found == "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"


def token(name: str, **more: str) -> Obj:
    data = {"token-id": name, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true"}
    encoded = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in {**data, **more}.items()}
    metadata = {"name": f"bootstrap-token-{name}", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": bootstraptokens.TYPE, "data": encoded}


def test_tokens_that_cannot_sign() -> None:
    now = times.parse("2026-01-01T00:00:00Z")
    good = token("abcdef", expiration="2026-01-01T00:00:01Z")
    bad = [
        token("abcde1", expiration="2025-12-31T23:59:59Z"),
        token("abcde2", expiration="soon"),
        token("abcde3", **{"token-id": "abcde9"}),
        token("abcde4", **{"usage-bootstrap-signing": "false"}),
        {**token("abcde5"), "type": "Opaque"},
    ]
    assert set(bootstraptokens.tokens([good, *bad], now)) == {"abcdef"}


def test_a_token_signs_and_is_gone_when_it_is_over() -> None:
    async def work(here: Site) -> None:
        for name in ("kube-public", "kube-system"):
            if await here.client.get_or_none(NAMESPACES, name) is None:
                await here.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        info = {"metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": "x", "jws-kubeconfig-old": "y"}}
        await here.client.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", **info})
        end = times.rfc3339(here.manager.clock.now() + 60)
        await here.client.create(SECRETS, token("abcdef", expiration=end))
        await here.settle()

        async def names() -> set[str]:
            return set((await here.client.get(CONFIG_MAPS, "cluster-info", "kube-public"))["data"])

        assert await names() == {"kubeconfig", "jws-kubeconfig-abcdef"}
        await here.until_gone(SECRETS, "bootstrap-token-abcdef", "kube-system")
        await here.settle()
        assert await names() == {"kubeconfig"}

    run(work, only=("bootstrap-signer-controller", "token-cleaner-controller"))
