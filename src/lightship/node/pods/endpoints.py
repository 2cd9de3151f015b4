"""What a kubelet's web server answers, for those who ask a node through the API server: `kubectl get --raw /api/v1/nodes/N/proxy/...`.

The agent makes one `Endpoints`; there is no server of its own and no port. Knows paths and texts; what is told comes from others.
Exec, attach and port-forward are refused here: they are asked of pods, where there is more to judge who may.
Contract: kubelet pkg/kubelet/server/server.go.
"""

import html
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qs, unquote

from lightship.aio.streams import closing
from lightship.meta import codec
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions, NodeAnswer
from lightship.node.network import facts as network
from lightship.node.runtimes import logfiles
from lightship.node.streams.logs import Logs

from .measuring import Measuring
from .subject import Subject

_JSON, _TEXT, _HTML, _METRICS = "application/json", "text/plain; charset=utf-8", "text/html; charset=utf-8", "text/plain; version=0.0.4"
_CONVERSATIONS = ("exec", "attach", "portForward", "run", "checkpoint")
_CHECKS = ("ping", "log", "syncloop")
_NOT_FOUND = NodeAnswer(404, _TEXT, b"404 page not found\n")
_DEEPEST = 4
"""Steps of a path below /logs/: `pods`, a pod, a container, a file."""


class Endpoints:
    """`subjects` are the pods of now, `pods` the directory with theirs."""

    def __init__(
        self, node: str, subjects: Callable[[], Iterable[Subject]], logs: Logs, measuring: Measuring, pods: Path, most_pods: int
    ) -> None:
        self._node = node
        self._subjects = subjects
        self._logs = logs
        self._measuring = measuring
        self._pods = pods
        self._most_pods = most_pods

    async def answer(self, method: str, path: str, query: str) -> NodeAnswer:
        """See `meta.rest.NodeConnection`."""
        first, _, rest = path.removeprefix("/").partition("/")
        if first in _CONVERSATIONS:
            why = f"{first} is not served here: ask the API server for it, of the pod\n"
            return NodeAnswer(403, _TEXT, why.encode())
        if method not in ("GET", "HEAD"):
            return NodeAnswer(405, _TEXT, b"405: Method Not Allowed")
        rest = rest.rstrip("/")
        if first == "healthz":
            return _health(rest, verbose="verbose" in parse_qs(query, keep_blank_values=True))
        if first == "metrics":
            return await self._metrics(rest)
        if first == "logs":
            return self._directory(unquote(rest))
        if first == "containerLogs":
            return await self._container_log(unquote(rest).split("/"), query)
        if path.rstrip("/") == "/stats/summary":
            return _json(await self._measuring.summary())
        if rest or first not in ("pods", "runningpods", "configz"):
            return _NOT_FOUND
        if first == "configz":
            return _json({"kubeletconfig": self._configuration()})
        found = [subject for subject in self._subjects() if first == "pods" or _runs(subject)]
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [subject.pod for subject in found]})

    async def _metrics(self, rest: str) -> NodeAnswer:
        if rest == "resource":
            return NodeAnswer(200, _METRICS, (await self._measuring.resource_metrics()).encode())
        if rest == "cadvisor":
            return NodeAnswer(200, _METRICS, (await self._measuring.cadvisor_metrics()).encode())
        if rest == "probes":
            return NodeAnswer(200, _METRICS)
        return NodeAnswer(200, _METRICS, self._own_metrics().encode()) if not rest else _NOT_FOUND

    def _own_metrics(self) -> str:
        subjects = list(self._subjects())
        containers = sum(c.running for subject in subjects for c in subject.state.containers.values())
        return (
            "# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n# TYPE kubelet_node_name gauge\n"
            f'kubelet_node_name{{node="{self._node}"}} 1\n'
            "# HELP kubelet_running_containers [ALPHA] Number of containers currently running\n# TYPE kubelet_running_containers gauge\n"
            f'kubelet_running_containers{{container_state="running"}} {containers}\n'
            "# HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox\n# TYPE kubelet_running_pods gauge\n"
            f"kubelet_running_pods {sum(map(_runs, subjects))}\n"
        )

    def _configuration(self) -> Obj:
        """What of a KubeletConfiguration can be said of a node like this."""
        return {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "clusterDomain": network.CLUSTER_DOMAIN,
            "clusterDNS": [network.DNS_ADDRESS],
            "maxPods": self._most_pods,
            "containerLogMaxSize": f"{logfiles.SIZE // 2**20}Mi",
            "containerLogMaxFiles": logfiles.KEPT,
            "podPidsLimit": -1,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
            "authorization": {"mode": "Webhook"},
            "enableDebuggingHandlers": False,
        }

    def _directory(self, rest: str) -> NodeAnswer:
        """Logs as files, as other nodes have them in /var/log: `pods/<pod>/<container>/<run>.log`, and nothing else of a pod's."""
        steps = rest.split("/") if rest else []
        if not steps:
            return _listing(["pods/"])
        if steps[0] != "pods" or len(steps) > _DEEPEST or any(step.startswith(".") or not step for step in steps):
            return _NOT_FOUND
        place = self._pods.joinpath(*steps[1:])
        try:
            if len(steps) == _DEEPEST:
                return NodeAnswer(200, _TEXT, place.read_bytes())
            names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in place.iterdir() if not entry.name.startswith("."))
        except OSError:
            return _NOT_FOUND
        return _listing(names)

    async def _container_log(self, steps: list[str], query: str) -> NodeAnswer:
        if len(steps) != 3 or not all(steps):
            return _NOT_FOUND
        namespace, pod, container = steps
        named = [s for s in self._subjects() if (s.pod["metadata"]["namespace"], s.pod["metadata"]["name"]) == (namespace, pod)]
        if not named:
            return NodeAnswer(404, _TEXT, f'pod "{pod}" does not exist'.encode())
        if container not in _containers(named[0].pod):
            return NodeAnswer(404, _TEXT, f'container "{container}" not found in pod "{pod}"'.encode())
        try:
            options = _log_options(container, query)
        except ValueError:
            return NodeAnswer(400, _TEXT, b'{"message": "Unable to decode query."}')
        chunks = self._logs.logs(namespace, pod, "", options)
        if not options.follow:
            return await _whole(chunks)
        return NodeAnswer(200, _TEXT, stream=_following(chunks))


async def _whole(chunks: AsyncIterator[bytes]) -> NodeAnswer:
    try:
        async with closing(chunks) as log:
            return NodeAnswer(200, _TEXT, b"".join([chunk async for chunk in log]))
    except StatusError as error:
        return NodeAnswer(error.code, _TEXT, error.message.encode())


async def _following(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async with closing(chunks) as log:
            async for chunk in log:
                yield chunk
    except StatusError as error:
        yield error.message.encode()


def _log_options(container: str, query: str) -> LogOptions:
    """Raises `ValueError`."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}

    def number(*names: str) -> int | None:
        text = next((given[name] for name in names if name in given), "all")
        return None if text == "all" else int(text)

    def flag(name: str) -> bool:
        return given.get(name, "") in ("true", "1")

    return LogOptions(
        container=container,
        follow=flag("follow"),
        previous=flag("previous"),
        timestamps=flag("timestamps"),
        tail_lines=number("tail", "tailLines"),
        since_seconds=number("sinceSeconds"),
        since_time=given.get("sinceTime", ""),
        limit_bytes=number("limitBytes"),
    )


def _containers(pod: Obj) -> list[str]:
    spec = pod["spec"]
    return [c["name"] for field in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(field) or ()]


def _runs(subject: Subject) -> bool:
    return any(container.running for container in subject.state.containers.values())


def _health(rest: str, *, verbose: bool) -> NodeAnswer:
    if rest and rest not in _CHECKS:
        return _NOT_FOUND
    if verbose and not rest:
        return NodeAnswer(200, _TEXT, "".join([*(f"[+]{name} ok\n" for name in _CHECKS), "healthz check passed\n"]).encode())
    return NodeAnswer(200, _TEXT, b"ok")


def _json(obj: Obj) -> NodeAnswer:
    return NodeAnswer(200, _JSON, codec.encode(obj))


def _listing(names: Iterable[str]) -> NodeAnswer:
    links = "".join(f'<a href="{html.escape(name)}">{html.escape(name)}</a>\n' for name in names)
    return NodeAnswer(200, _HTML, f"<!doctype html>\n<pre>\n{links}</pre>\n".encode())
