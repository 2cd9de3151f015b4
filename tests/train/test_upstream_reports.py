"""What upstream's Trainer does with its gate TrainJobStatus on, step by step on our server: whom it tells, what a report may say, and what
of a running job is made again.

The cases are specs of ours (`tools/recording/trainer_reports.yaml`) as they ran against upstream's controllers and status server
(`tools/make_trainer_cases.py reports`). Answers to reports must be alike, in code and words. Plugins of upstream take turns in an order
that is drawn when its program starts, so lists of a container are compared by name.
"""

import json
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lightship import kinds
from lightship.aio.clock import LoopClock
from lightship.apiserver.access.tokens import Tokens
from lightship.apiserver.requests import TokenSubject
from lightship.meta.objects import Obj
from lightship.train.api import progress
from lightship.train.statusserver import Answer, StatusServer
from tests.train import site
from tests.train.site import Site
from tests.train.test_upstream_specs import cases, plain, request, target, write

KEY = ec.generate_private_key(ec.SECP256R1())
NO_TIME, NO_TIME_OURS = "lastUpdatedTime in body must be of type string", "lastUpdatedTime is required when trainerStatus is present"
"""Upstream sends the API server a null where a report has no time, and tells what that says of the null."""
BY_NAME = ("env", "volumes", "volumeMounts")


class Stage(NamedTuple):
    site: Site
    server: StatusServer
    tokens: Tokens


@pytest.mark.parametrize("case", cases("reports"))
def test_what_upstream_does_with_the_gate_on(case: Obj) -> None:
    tokens = Tokens(KEY, LoopClock(), lambda: "id")

    async def scenario(s: Site) -> None:
        await s.client.create(kinds.NAMESPACES, {"metadata": {"name": case["namespace"]}})
        stage = Stage(s, StatusServer(s.acting, s.clock), tokens)
        async with s.controllers(ca_pem="authority"):
            for number, step in enumerate(case["steps"]):
                await play(stage, f"step {number}: {step['method']} {step['path']} {step.get('asked', '')}", step)

    site.run(scenario, jobsets=False, authenticator=tokens)


async def play(stage: Stage, said: str, step: Obj) -> None:
    s = stage.site
    if step["method"] == "REPORT":
        answer = await report(stage, step["path"], step["asked"])
        if NO_TIME in step["text"]:
            assert (answer.code, NO_TIME_OURS in answer.body.decode()) == (step["code"], True), said
        else:
            assert (answer.code, answer.body.decode()) == (step["code"], step["text"]), said
        return
    resource, namespace, name, part = target(step["path"])
    if step["method"] == "GET":
        await s.settle()
        live = await s.client.get_or_none(resource, name, namespace)
        assert ordered(plain(live)) == ordered(plain(step["answer"])), said
    elif step["method"] == "PATCH":
        await s.client.patch(resource, name, step["sent"], namespace)
    elif step["method"] == "DELETE":
        await request(s, "DELETE", resource, namespace, name, part, None)
    else:
        await write(s, said, step, resource, namespace, name, part)


async def report(stage: Stage, path: str, asked: Obj) -> Answer:
    namespace = path.split("/")[5]
    audience = progress.audience(namespace, asked["job"])
    owner = "elsewhere" if asked["token"] == "elsewhere" else namespace
    meant = stage.tokens.issuer if asked["token"] == "server" else audience
    token = stage.tokens.issue(TokenSubject(owner, "default", "u1"), [meant], 3600)[0]
    scheme = {"none": "", "basic": "Basic ", "lower": "bearer   "}.get(asked["token"], "Bearer ")
    body = asked["body"] * max(asked["repeated"], 1)
    return await stage.server.answer(asked["method"], path.partition("?")[0], f"{scheme}{token}" if scheme else "", body.encode())


def ordered(value: Any) -> Any:
    """Without an order where upstream has none."""
    if isinstance(value, dict):
        named = {k: sorted(v, key=lambda item: json.dumps(item, sort_keys=True)) if k in BY_NAME else v for k, v in value.items()}
        return {k: ordered(v) for k, v in named.items()}
    return [ordered(item) for item in value] if isinstance(value, list) else value
