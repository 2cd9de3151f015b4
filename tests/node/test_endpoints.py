"""What a node answers as a kubelet's web server would: asked through the agent, of pods that only pretend to run."""

import json
from collections.abc import Awaitable, Callable

from lightship.meta.rest import NodeAnswer

from .make import pod
from .site import Site, run


async def running(here: Site) -> Callable[..., Awaitable[NodeAnswer]]:
    """How to ask a node with a pod `p` that has printed two lines."""
    await here.run_pod(pod())
    await here.until_phase("Running")
    here.runtime.write("main", "one", "two")

    async def ask(path: str, query: str = "", method: str = "GET") -> NodeAnswer:
        answer = await here.agent.answer(method, path, query)
        if answer.stream is not None:
            first = await anext(aiter(answer.stream))
            await answer.stream.aclose()  # type: ignore[attr-defined]  # an async generator
            return answer._replace(body=first, stream=None)
        return answer

    return ask


PLAIN = [
    ("/healthz", "", 200, b"ok"),
    ("/healthz/syncloop", "", 200, b"ok"),
    ("/healthz/nothing", "", 404, b"404 page not found\n"),
    ("/healthz", "verbose", 200, b"[+]ping ok\n[+]log ok\n[+]syncloop ok\nhealthz check passed\n"),
    ("/containerLogs/default/p/main", "", 200, b"one\ntwo\n"),
    ("/containerLogs/default/p/main", "tail=1", 200, b"two\n"),
    ("/containerLogs/default/p/main", "tailLines=1&timestamps=true", 200, b"2023-11-14T22:13:20.000000000Z two\n"),
    ("/containerLogs/default/p/main", "limitBytes=2", 200, b"on"),
    ("/containerLogs/default/p/main", "follow=true", 200, b"one\ntwo\n"),
    ("/containerLogs/default/p/main", "tail=some", 400, b'{"message": "Unable to decode query."}'),
    ("/containerLogs/default/p/main", "previous=true", 400, b'previous terminated container "main" in pod "p" not found'),
    ("/containerLogs/default/p/other", "", 404, b'container "other" not found in pod "p"'),
    ("/containerLogs/default/q/main", "", 404, b'pod "q" does not exist'),
    ("/containerLogs/default/p", "", 404, b"404 page not found\n"),
    ("/logs/", "", 200, b'<!doctype html>\n<pre>\n<a href="pods/">pods/</a>\n</pre>\n'),
    ("/logs/nothing", "", 404, b"404 page not found\n"),
    ("/logs/pods/../../secret", "", 404, b"404 page not found\n"),
    ("/logs/pods/%2E%2E/%2E%2E/secret", "", 404, b"404 page not found\n"),
    ("/metrics/probes", "", 200, b""),
    ("/", "", 404, b"404 page not found\n"),
    ("/stats", "", 404, b"404 page not found\n"),
    ("/exec/default/p/main", "command=id", 403, b"exec is not served here: ask the API server for it, of the pod\n"),
]


def test_plain_answers() -> None:
    async def story(here: Site) -> None:
        ask = await running(here)
        for path, query, code, body in PLAIN:
            found = await ask(path, query)
            assert (found.code, found.body) == (code, body), (path, query)

    run(story)


def test_only_questions_are_answered() -> None:
    async def story(here: Site) -> None:
        ask = await running(here)
        assert (await ask("/healthz", method="POST")).code == 405
        assert (await ask("/run/default/p/main", method="POST")).code == 403

    run(story)


def test_pods_configuration_and_statistics_are_objects() -> None:
    async def story(here: Site) -> None:
        ask = await running(here)
        for path in ("/pods", "/runningpods/"):
            listed = json.loads((await ask(path)).body)
            assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("PodList", ["p"])
        configuration = json.loads((await ask("/configz")).body)["kubeletconfig"]
        assert (configuration["kind"], configuration["containerLogMaxSize"]) == ("KubeletConfiguration", "10Mi")
        assert json.loads((await ask("/stats/summary")).body)["node"]["nodeName"] == "n1"
        own = (await ask("/metrics")).body
        assert b"kubelet_running_pods 1\n" in own
        assert b'kubelet_running_containers{container_state="running"} 1\n' in own
        for path in ("/metrics/resource", "/metrics/cadvisor"):
            assert (await ask(path)).code == 200

    run(story)


def test_logs_are_files_of_pods_and_nothing_else_of_theirs() -> None:
    async def story(here: Site) -> None:
        await here.run_pod(pod())
        await here.until_phase("Running")
        here.runtime.write("main", "one")
        (directory,) = (here.data / "pods").iterdir()
        (directory / ".volumes").mkdir(exist_ok=True)

        async def at(path: str) -> tuple[int, bytes]:
            answer = await here.agent.answer("GET", path, "")
            return answer.code, answer.body

        assert directory.name.encode() in (await at("/logs/pods"))[1]
        assert await at(f"/logs/pods/{directory.name}/") == (200, b'<!doctype html>\n<pre>\n<a href="main/">main/</a>\n</pre>\n')
        assert (await at(f"/logs/pods/{directory.name}/main/0.log"))[1].endswith(b" stdout F one\n")
        assert (await at(f"/logs/pods/{directory.name}/.volumes"))[0] == 404
        assert (await at(f"/logs/pods/{directory.name}/main/0.log/x"))[0] == 404

    run(story)
