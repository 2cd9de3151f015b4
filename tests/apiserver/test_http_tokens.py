"""A pod's token from TokenRequest to its last use, over HTTP."""

import asyncio
import itertools
import random

from cryptography.hazmat.primitives.asymmetric import ec

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access.authn import FirstOf, StaticTokens
from lightship.apiserver.access.token_life import life
from lightship.apiserver.access.tokens import ISSUER, Tokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from tests.apiserver.http_site import PODS, TOKENS, HttpSite, pod

ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def test_a_token_lives_as_long_as_its_pod() -> None:
    async def main() -> None:
        clock = SystemClock()
        memory = store.memory()
        numbers = itertools.count()
        tokens = Tokens(ec.generate_private_key(ec.SECP256R1()), clock, lambda: str(next(numbers)), life=life(memory))
        server = Server(memory, kinds.BUILTIN, clock=clock, random=random.Random(1), tokens=tokens)
        listener = await serve(server, authenticator=FirstOf([StaticTokens(TOKENS), tokens]), keys=tokens)
        site = HttpSite(server, listener)
        wire = await site.connect()
        assert (await wire.ask("POST", PODS, pod("worker"))).code == 201
        wanted = {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "worker"}, "expirationSeconds": 3600}}
        issued = await wire.ask("POST", ACCOUNT + "/token", wanted)
        assert issued.code == 201
        token = issued.obj["status"]["token"]
        me = await wire.ask("POST", REVIEW, {}, token=token)
        assert me.obj["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
        assert me.obj["status"]["userInfo"]["extra"]["authentication.kubernetes.io/pod-name"] == ["worker"]
        assert (await wire.ask("GET", PODS, token=token)).code == 403
        review = await wire.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}})
        assert review.obj["status"]["authenticated"] is True
        assert (await wire.ask("GET", "/openid/v1/jwks", token=token)).obj == tokens.jwks()
        assert (await wire.ask("GET", "/.well-known/openid-configuration", token=token)).obj["issuer"] == ISSUER
        assert (await wire.ask("DELETE", PODS + "/worker?gracePeriodSeconds=0")).code == 200
        assert (await wire.ask("POST", REVIEW, {}, token=token)).code == 401
        await site.close()
        await listener.close()

    asyncio.run(main())
