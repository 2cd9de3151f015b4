"""Cases of admission policies, played on our server and on a real one, whose answers are kept in `policy_answers.json`.

`python -m tests.apiserver.policy_play` asks the real server again.
"""

import asyncio
import json
import random
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.meta.objects import Obj, copy
from lightship.meta.rest import User
from tests import oracle

from . import policy_cases, policy_mutations, policy_written
from .http_site import HttpSite
from .policy_words import PARAMS, PLURALS, Ask, Case, binding, create, made, mutation, obj, policy, refs, secret

ANSWERS = Path(__file__).parent / "policy_answers.json"
CASES = (*policy_cases.CASES, *policy_mutations.CASES, policy_written.WRITTEN)
_ADMIN = User("admin", ("system:masters", "system:authenticated"), uid="admin")
_OURS_TO_FORGET = ("uid", "creationTimestamp", "resourceVersion", "managedFields", "generation", "selfLink")
_MARKS = (
    ("pol-mark-hook", [policy_cases.HOOK], "failed calling webhook"),
    (
        "pol-mark-judge",
        [secret("p", "mark"), policy("params.type != 'mark'", **PARAMS), binding(**refs(name="p"))],
        "failed expression: params.type",
    ),
    ("pol-mark-change", mutation("Object{data: {'mark': 'known'}}"), '"known"'),
)
"""What tells that everything before it is known to a server: its objects, and what they make of a request."""
_GENERATED = re.compile("gen-[a-z0-9]{5}")
_UNORDERED = re.compile(r"(may not mutate atomic arrays, maps or structs: )([^\"]*)")


class Answer(NamedTuple):
    code: int
    body: Obj
    warnings: str


Send = Callable[[Ask], Awaitable[Answer]]


async def play(cases: Sequence[Case], send: Send, ready: Callable[[], Awaitable[None]]) -> dict[str, list[Obj]]:
    """What came of the asks of each case. `ready` waits until what was set up is known."""
    for case in cases:
        namespace = f"pol-{case.name}"
        await send(_in(namespace, made(obj("Namespace", "NS"))))
        for body in case.setup:
            answer = await send(_in(namespace, made(body)))
            assert answer.code == 201, (case.name, answer.body.get("message"))
    await ready()
    return {case.name: [_told(await send(_in(f"pol-{case.name}", ask))) for ask in case.asks] for case in cases}


async def clean(case: Case, send: Send) -> None:
    for body in case.setup:
        name = body["metadata"]["name"]
        await send(_in(f"pol-{case.name}", Ask("DELETE", f"{PLURALS[body['kind']]}/{name}")))


def _in(namespace: str, ask: Ask) -> Ask:
    body = json.loads(json.dumps(ask.body).replace("NS", namespace)) if ask.body is not None else None
    return ask._replace(path=ask.path.replace("NS", namespace), body=body)


def _settled(text: str) -> str:
    """Paths that the real server lists in the order of a map, in order."""
    return _UNORDERED.sub(lambda found: found[1] + ", ".join(sorted(found[2].split(", "))), text)


def _told(answer: Answer) -> Obj:
    body = json.loads(_settled(_GENERATED.sub("gen-xxxxx", json.dumps(answer.body))))
    told: Obj = {"code": answer.code}
    if answer.warnings:
        # Bindings of one policy are asked in any order there.
        told["warnings"] = sorted(answer.warnings.removeprefix('299 - "').split(', 299 - "'))
    if body.get("kind") == "Status":
        told.update({field: body[field] for field in ("reason", "message") if body.get(field)})
        causes = [{k: v for k, v in cause.items() if v} for cause in (body.get("details") or {}).get("causes") or ()]
        if causes:
            told["causes"] = causes
        return told
    shown = copy(body)
    for field in _OURS_TO_FORGET:
        shown["metadata"].pop(field, None)
    if answer.code < 300 and "admissionregistration" not in body.get("apiVersion", ""):
        told["object"] = shown
    return told


async def ours(cases: Sequence[Case]) -> dict[str, list[Obj]]:
    clock = SystemClock()
    server = Server(store.memory(), kinds.BUILTIN, clock=clock, random=random.Random(7))
    listener = await serve(server, authenticator=StaticTokens({"admin-token": _ADMIN}), clock=clock)
    site = HttpSite(server, listener)
    try:
        wire = await site.connect()

        async def send(ask: Ask) -> Answer:
            answer = await wire.ask(ask.method, ask.path, ask.body, **({"content_type": ask.content_type} if ask.body is not None else {}))
            return Answer(answer.code, answer.obj, answer.headers.get("warning", ""))

        async def ready() -> None:
            return

        return await play(cases, send, ready)
    finally:
        await site.close()
        await listener.close()
        server.close()


async def theirs(cases: Sequence[Case]) -> dict[str, list[Obj]]:
    server = oracle.running()
    context = ssl.create_default_context(cadata=server.ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT

    def answered(ask: Ask) -> Answer:
        data = json.dumps(ask.body).encode() if ask.body is not None else None
        headers = {"Authorization": f"Bearer {oracle.TOKEN}", "Content-Type": ask.content_type}
        question = urllib.request.Request(server.server + ask.path, data, headers, method=ask.method)
        try:
            with urllib.request.urlopen(question, context=context) as answer:
                return Answer(answer.status, json.loads(answer.read()), ", ".join(answer.headers.get_all("Warning") or ()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.loads(error.read()), ", ".join(error.headers.get_all("Warning") or ()))

    async def send(ask: Ask) -> Answer:
        return await asyncio.to_thread(answered, ask)

    async def ready() -> None:
        """What comes after all others is known: so the others are."""
        for name, setup, sign in _MARKS:
            await send(_in(name, made(obj("Namespace", "NS"))))
            for body in setup:
                await send(_in(name, made(body)))
            while sign not in json.dumps((await send(_in(name, create(name="probe", query="?dryRun=All")))).body):
                pass

    try:
        return await play(cases, send, ready)
    finally:
        for case in cases:
            await clean(case, send)
        for name, setup, _ in _MARKS:
            await clean(Case(name.removeprefix("pol-"), setup, []), send)


def recorded() -> dict[str, list[Obj]]:
    found: dict[str, list[Obj]] = json.loads(_settled(ANSWERS.read_text()))
    return found


if __name__ == "__main__":
    answers = asyncio.run(theirs(CASES))
    ANSWERS.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")
