"""From a request for exec, attach or port-forward to the conversation: which pod, which container, which way of talking.

`front` asks `connect` when the user may; the answer is the switch of protocols, or a refusal. Admission is asked with the operation CONNECT
before, as for every other request.
Contract: core/v1 PodExecOptions, PodAttachOptions, PodPortForwardOptions; kube-apiserver pkg/registry/core/pod/rest.
"""

from collections.abc import Awaitable, Callable, Sequence

from lightship.apiserver.core import Core
from lightship.apiserver.media import queries
from lightship.apiserver.media.queries import Query
from lightship.apiserver.requests import Request
from lightship.apiserver.subresources.admitting import ask
from lightship.apiserver.subresources.whereabouts import container_of, node_of
from lightship.apiserver.transport.exchange import HttpRequest, Switch
from lightship.apiserver.transport.wire import Wire
from lightship.meta import errors, gojson
from lightship.meta.objects import Obj
from lightship.meta.rest import CommandOptions, NodeConnection

from . import channels, forward
from .channels import ERROR, RESIZE, STDERR, STDIN, STDOUT, SpdyChannels, Tunnel, WebSocketChannels
from .command import converse
from .forward import SpdyForward, forward_channels
from .handshake import is_websocket, subprotocol, switch

SUBRESOURCES = ("attach", "exec", "portforward")
_OPTIONS = {"attach": "PodAttachOptions", "exec": "PodExecOptions", "portforward": "PodPortForwardOptions"}
_LAST_PORT = 65535
_LONGEST = 5
"""Digits of a port."""
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
    if request.subresource == "portforward":
        return _forward(http, node_of(core, pod), pod, asked.get("ports") or ())
    container = container_of(pod, asked.get("container") or "")
    node = node_of(core, pod)
    return _command(http, node, pod, _chosen(container, asked, attach=request.subresource == "attach"))


def _options(subresource: str, query: Query) -> Obj:
    """What the URL asks for, as the object that admission sees."""
    asked: Obj = {"kind": _OPTIONS[subresource], "apiVersion": "v1"}
    if subresource == "portforward":
        ports = _ports(query)
        return {**asked, "ports": ports} if ports else asked
    asked.update({flag: True for flag in _FLAGS if flag in query and queries.flag(query, flag)})
    if query.get("container"):
        asked["container"] = query["container"]
    if subresource == "exec":
        asked["command"] = list(queries.every(query, "command"))
    return asked


def _chosen(container: str, asked: Obj, *, attach: bool) -> CommandOptions:
    """Valid options for a container. Raises 400 in the words of those who run containers."""
    flags = {flag: bool(asked.get(flag)) for flag in _FLAGS}
    if not any(flags[flag] for flag in ("stdin", "stdout", "stderr")):
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    # A terminal has one output.
    flags["stderr"] = flags["stderr"] and not flags["tty"]
    command = tuple(asked.get("command") or ())
    if not attach and not command:
        raise errors.bad_request("you must specify at least 1 command for the container")
    return CommandOptions(container=container, command=command, **flags)


def _ports(query: Query) -> list[int]:
    """Ports in the URL: the way of WebSocket clients that know no SPDY. Raises 400."""
    found = []
    for text in (part for value in queries.every(query, "ports") for part in value.split(",")):
        whole = text.isascii() and text.isdecimal()
        if not whole or int(text[-_LONGEST:]) > _LAST_PORT or len(text.lstrip("0")) > _LONGEST:
            why = "value out of range" if whole else "invalid syntax"
            raise errors.bad_request(f"cannot convert to []int32: strconv.ParseUint: parsing {gojson.go_quoted(text)}: {why}")
        found.append(int(text[-_LONGEST:]))
    return found


def _command(http: HttpRequest, node: NodeConnection, pod: Obj, options: CommandOptions) -> Switch:
    expected = {ERROR}
    expected |= {channel for channel, wanted in ((STDIN, options.stdin), (STDOUT, options.stdout), (STDERR, options.stderr)) if wanted}
    if is_websocket(http):
        protocol = subprotocol(http, channels.SUBPROTOCOLS)

        async def over_websocket(wire: Wire) -> None:
            talk = WebSocketChannels(wire, protocol)
            if not protocol.startswith("v5."):
                # Something to say that the conversation has begun; since v5 clients do without.
                await talk.send(STDOUT if options.stdout else STDERR if options.stderr else ERROR, b"")
            await converse(talk, node, pod, options, plain=not channels.tells_status(protocol))

        return switch(http, protocol, over_websocket)
    version = _spdy_version(http, channels.SPDY_PROTOCOLS)

    async def over_spdy(wire: Wire) -> None:
        talk = SpdyChannels(wire)
        if await talk.open({*expected, RESIZE} if options.tty and version in channels.RESIZING else expected):
            await converse(talk, node, pod, options, plain=not channels.tells_status(version))

    return _spdy(version, over_spdy)


def _forward(http: HttpRequest, node: NodeConnection, pod: Obj, ports: Sequence[int]) -> Switch:
    if not is_websocket(http):

        async def over_spdy(wire: Wire) -> None:
            await SpdyForward(wire, node, pod).run()

        return _spdy(_spdy_version(http, (forward.PROTOCOL,)), over_spdy)
    protocol = subprotocol(http, (forward.TUNNEL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io"))
    if protocol != forward.TUNNEL and not ports:
        raise errors.bad_request("you must specify at least 1 port")

    async def over_websocket(wire: Wire) -> None:
        if protocol == forward.TUNNEL:
            await SpdyForward(Tunnel(wire), node, pod).run()
        else:
            await forward_channels(WebSocketChannels(wire, protocol), node, pod, ports)

    return switch(http, protocol, over_websocket)


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
