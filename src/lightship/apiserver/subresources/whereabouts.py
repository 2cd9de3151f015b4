"""Which container of a pod is meant, and which node has the pod: asked before a log is read or a conversation begins.

`subresources` asks for logs, `streams.connect` for exec, attach and port-forward. Refusals come in the real server's order: first the
container, then the pod's host, then the node. Contract: kube-apiserver pkg/registry/core/pod/strategy.go (LogLocation, streamLocation).
"""

from lightship.apiserver.core import Core
from lightship.meta import errors
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import NodeConnection


class Homeless(StatusError):  # noqa: N818 - an answer, not a mistake
    """The pod has no node yet. Who asks for its log gets nothing, others a refusal."""

    def __init__(self, name: str) -> None:
        super().__init__(400, "BadRequest", f"pod {name} does not have a host assigned")


def container_of(pod: Obj, wanted: str) -> str:
    """The container that is meant: the one that is named, or the only one. Raises 400."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    fields = ("initContainers", "containers", "ephemeralContainers")
    every = [container["name"] for field in fields for container in spec.get(field) or ()]
    if wanted:
        if wanted not in every:
            raise errors.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    regular = spec.get("containers") or []
    if len(regular) == 1:
        return str(regular[0]["name"])
    raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(every)}]")


def node_of(core: Core, pod: Obj) -> NodeConnection:
    """The connection to the pod's node. Raises `Homeless`, 404 and 503."""
    name, node = pod["metadata"]["name"], (pod.get("spec") or {}).get("nodeName")
    if not node:
        raise Homeless(name)
    connection = core.nodes(node)
    if connection is not None:
        return connection
    if core.store.get(f"core/nodes//{node}") is None:
        raise errors.not_found("pods", node)  # the real server says so, too: it has forgotten what it looked for
    raise errors.unavailable(f'the node "{node}", on which pod {name} runs, is not connected to this server')
