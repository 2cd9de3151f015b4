"""From a request for exec, attach or port-forward to the conversation: which pod, which container, which way of talking.

`front` asks `connect` when the user may; the answer is the switch of protocols, or a refusal. Admission is asked with the operation CONNECT
before, as for every other request.
Contract: core/v1 PodExecOptions, PodAttachOptions, PodPortForwardOptions; kube-apiserver pkg/registry/core/pod/rest.
"""

from collections.abc import Awaitable, Callable, Sequence

from lightship.apiserver import queries
from lightship.apiserver.admitting import ask
from lightship.apiserver.core import Core
from lightship.apiserver.exchange import HttpRequest, Switch
from lightship.apiserver.queries import Query
from lightship.apiserver.requests import Request
from lightship.apiserver.streams import channels, forward, websocket
from lightship.apiserver.streams.channels import ERROR, RESIZE, STDERR, STDIN, STDOUT, SpdyChannels, Tunnel, WebSocketChannels
from lightship.apiserver.streams.command import converse
from lightship.apiserver.streams.forward import SpdyForward, forward_channels
from lightship.apiserver.wire import Wire
from lightship.meta import errors
from lightship.meta.objects import Obj
from lightship.meta.rest import CommandOptions, NodeConnection

SUBRESOURCES = ("attach", "exec", "portforward")
_OPTIONS = {"attach": "PodAttachOptions", "exec": "PodExecOptions", "portforward": "PodPortForwardOptions"}
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_FLAGS = ("stdin", "stdout", "stderr", "tty")


async def connect(core: Core, request: Request, http: HttpRequest, query: Query) -> Switch:
    """The switch to the conversation. Raises `StatusError`."""
    served = core.catalogue.served(request.resource)
    assert served is not None
    if "dryRun" in query:
        raise errors.bad_request("dryRun is not supported")
    asked = _options(request.subresource, query)
    await ask(core, served, request, asked, operation="CONNECT")
    record = core.store.get(served.key(request.namespace, request.name))
    if record is None:
        raise served.not_found(request.name)
    pod = record.obj
    node = _node(core, pod)
    if request.subresource == "portforward":
        return _forward(http, node, pod, _ports(query))
    return _command(http, node, pod, _chosen(pod, asked, attach=request.subresource == "attach"))


def _options(subresource: str, query: Query) -> Obj:
    """What the URL asks for, as the object that admission sees."""
    asked: Obj = {"kind": _OPTIONS[subresource], "apiVersion": "v1"}
    if subresource == "portforward":
        ports = queries.every(query, "ports")
        return {**asked, "ports": [int(port) for port in ports if port.isdecimal()]} if ports else asked
    asked.update({flag: True for flag in _FLAGS if flag in query and queries.flag(query, flag)})
    if query.get("container"):
        asked["container"] = query["container"]
    if subresource == "exec":
        asked["command"] = list(queries.every(query, "command"))
    return asked


def _chosen(pod: Obj, asked: Obj, *, attach: bool) -> CommandOptions:
    """Valid options with the container that is meant. Raises 400 in the real server's words."""
    flags = {flag: bool(asked.get(flag)) for flag in _FLAGS}
    if not any(flags[flag] for flag in ("stdin", "stdout", "stderr")):
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    # A terminal has one output.
    flags["stderr"] = flags["stderr"] and not flags["tty"]
    command = tuple(asked.get("command") or ())
    if not attach and not command:
        raise errors.bad_request("you must specify at least 1 command for the container")
    return CommandOptions(container=container_of(pod, asked.get("container") or ""), command=command, **flags)


def container_of(pod: Obj, wanted: str) -> str:
    """The container that is meant: the one that is named, or the only or default one. Raises 400."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    regular = [container["name"] for container in spec.get("containers") or ()]
    started = [container["name"] for field in ("initContainers", "ephemeralContainers") for container in spec.get(field) or ()]
    if wanted:
        if wanted not in (*regular, *started):
            raise errors.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    default = (pod["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    if default in regular:
        return str(default)
    if len(regular) == 1:
        return str(regular[0])
    raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(regular)}]")


def _node(core: Core, pod: Obj) -> NodeConnection:
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
    if not node:
        raise errors.bad_request(f"pod {name} does not have a host assigned")
    connection = core.nodes(node)
    if connection is None:
        raise errors.unavailable(f'the node "{node}", on which pod {name} runs, is not connected to this server')
    return connection


def _ports(query: Query) -> list[int]:
    """Ports in the URL: the way of WebSocket clients that know no SPDY. Raises 400."""
    found = []
    for text in (part for value in queries.every(query, "ports") for part in value.split(",")):
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise errors.bad_request(f'unable to parse "{text}" as a port: it must be a number from 1 to 65535')
        found.append(int(text))
    return found


def _command(http: HttpRequest, node: NodeConnection, pod: Obj, options: CommandOptions) -> Switch:
    expected = {ERROR}
    expected |= {channel for channel, wanted in ((STDIN, options.stdin), (STDOUT, options.stdout), (STDERR, options.stderr)) if wanted}
    if _is_websocket(http):
        protocol = _subprotocol(http, channels.SUBPROTOCOLS)

        async def over_websocket(wire: Wire) -> None:
            await converse(WebSocketChannels(wire, protocol), node, pod, options)

        return _websocket(http, protocol, over_websocket)
    version = _spdy_version(http, channels.SPDY_PROTOCOLS)

    async def over_spdy(wire: Wire) -> None:
        talk = SpdyChannels(wire)
        if await talk.open({*expected, RESIZE} if options.tty and version != "v2.channel.k8s.io" else expected):
            await converse(talk, node, pod, options)

    return _spdy(version, over_spdy)


def _forward(http: HttpRequest, node: NodeConnection, pod: Obj, ports: Sequence[int]) -> Switch:
    if not _is_websocket(http):

        async def over_spdy(wire: Wire) -> None:
            await SpdyForward(wire, node, pod).run()

        return _spdy(_spdy_version(http, (forward.PROTOCOL,)), over_spdy)
    protocol = _subprotocol(http, (forward.TUNNEL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io"))
    if protocol != forward.TUNNEL and not ports:
        raise errors.bad_request("you must specify at least 1 port")

    async def over_websocket(wire: Wire) -> None:
        if protocol == forward.TUNNEL:
            await SpdyForward(Tunnel(wire), node, pod).run()
        else:
            await forward_channels(WebSocketChannels(wire, protocol), node, pod, ports)

    return _websocket(http, protocol, over_websocket)


def _is_websocket(http: HttpRequest) -> bool:
    return http.header(b"upgrade").lower() == "websocket"


def _subprotocol(http: HttpRequest, ours: Sequence[str]) -> str:
    """The first of the client's that we speak; empty when it names none. Raises 400 when it names only others."""
    offered = [name.strip() for name in http.header(b"sec-websocket-protocol").split(",") if name.strip()]
    for name in offered:
        if name in ours:
            return name
    if offered:
        raise errors.bad_request(f"unable to upgrade: none of the WebSocket subprotocols {', '.join(offered)} is spoken here")
    return ""


def _websocket(http: HttpRequest, protocol: str, talk: Callable[[Wire], Awaitable[None]]) -> Switch:
    key = http.header(b"sec-websocket-key")
    if not key or http.header(b"sec-websocket-version") != "13":
        raise errors.bad_request("unable to upgrade: a WebSocket needs a Sec-WebSocket-Key and version 13")
    chosen = (("Sec-WebSocket-Protocol", protocol),) if protocol else ()
    return Switch((("Upgrade", "websocket"), ("Sec-WebSocket-Accept", websocket.accept_key(key)), *chosen), talk)


def _spdy_version(http: HttpRequest, ours: Sequence[str]) -> str:
    if http.header(b"upgrade").lower() != "spdy/3.1":
        raise errors.bad_request("Upgrade request required")
    offered = [name.strip() for name in http.header(b"x-stream-protocol-version").replace("\n", ",").split(",") if name.strip()]
    for name in offered or ours[-1:]:
        if name in ours:
            return name
    raise errors.StatusError(403, "Forbidden", f"unable to upgrade: unsupported protocols [{' '.join(offered)}], supported: {list(ours)}")


def _spdy(version: str, talk: Callable[[Wire], Awaitable[None]]) -> Switch:
    return Switch((("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", version)), talk)
