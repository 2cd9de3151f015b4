"""`/proxy` of nodes: what the kubelet's own web server answers, which ours are asked for over the connection there is already.

`Server.proxy` asks. Only that server is reached: another port of a node is nothing that this server can vouch for. Who may ask has been
judged by then, by `nodes/proxy`; the finer subresources of the kubelet are for those who reach it without this server.
Contract: core/v1 connectGetNodeProxy; kube-apiserver pkg/registry/core/node/strategy.go (ResourceLocation).
"""

from urllib.parse import quote

from lightship.apiserver.core import Core
from lightship.apiserver.media import queries
from lightship.apiserver.requests import Request
from lightship.apiserver.subresources import admitting
from lightship.apiserver.transport.exchange import HttpRequest, Reply, Stream
from lightship.meta import errors
from lightship.meta.objects import get_path

from .places import options_of, split

_PORT = "10250"
"""Where everybody expects a kubelet."""
_LOG_PATIENCE = 1.0
"""Seconds after which the head of a stream goes out, whether there is something to say or not."""


async def proxy(core: Core, request: Request, http: HttpRequest, rest: str) -> Reply | Stream:
    """The node's answer. `rest` is what comes after `/proxy/`. Raises `StatusError`."""
    served = core.catalogue.served(request.resource)
    assert served is not None
    if "dryRun" in queries.parse(http.query):
        raise errors.bad_request("dryRun is not supported")
    await admitting.ask(core, served, request, options_of(request, http, rest), operation="CONNECT")
    _, name, port = split(request.name, "Node")
    record = core.store.get(f"core/nodes//{name}")
    if record is None:
        raise errors.not_found("nodes", name)
    connection = core.nodes(name)
    own = get_path(record.obj, "status", "daemonEndpoints", "kubeletEndpoint", "Port")
    if connection is None or (port and port not in (str(own), _PORT)):
        why = f"port {port} of node {name} is not its own server's" if port else f"node {name} is not connected to this server"
        raise errors.unavailable(f"error trying to reach service: {why}")
    slash = "/" if rest and http.path.endswith("/") else ""
    answer = await connection.answer(http.method, f"/{quote(rest, safe='/~')}{slash}", http.query)
    if answer.stream is not None:
        return Stream(answer.stream, answer.content_type, _LOG_PATIENCE, answer.code)
    return Reply(answer.code, answer.body, answer.content_type)
