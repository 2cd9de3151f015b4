"""`/proxy` of pods and services: which process is meant, and how to reach it.

`front` calls `proxy` for requests on these subresources. A name may carry a scheme and a port (`https:web:8443`); pods are reached through
the node that runs them, services through the pod behind one of their ready endpoints. Nothing else is reached: an address that somebody has
written into an object must not lead to this server's own neighbours.
Contract: core/v1 connectGetNamespacedPodProxy and its siblings; apimachinery util/net SplitSchemeNamePort.
"""

import asyncio
import ipaddress
import ssl
from urllib.parse import quote

from lightship.apiserver.core import Core
from lightship.apiserver.media import queries
from lightship.apiserver.requests import Request
from lightship.apiserver.service_addresses import ready
from lightship.apiserver.subresources import admitting
from lightship.apiserver.transport.exchange import HttpRequest, Reply, Stream, Switch
from lightship.meta import errors
from lightship.meta.objects import Obj
from lightship.meta.rest import NodeConnection

from .forwarding import Connection, Unreachable, forward
from .links import Place, mended

SUBRESOURCE = "proxy"
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
_CREDENTIALS = ("authorization", "impersonate-user", "impersonate-group", "impersonate-uid")


async def proxy(core: Core, request: Request, http: HttpRequest, rest: str) -> Reply | Stream | Switch:
    """The answer of the pod or service. `rest` is what comes after `/proxy/`. Raises `StatusError`."""
    served = core.catalogue.served(request.resource)
    assert served is not None
    if "dryRun" in queries.parse(http.query):
        raise errors.bad_request("dryRun is not supported")
    await admitting.ask(core, served, request, options_of(request, http, rest), operation="CONNECT")
    scheme, name, port = split(request.name, request.resource.kind)
    slash = "/" if rest and http.path.endswith("/") else ""
    path = f"/{quote(rest, safe='/~')}{slash}{'?' + http.query if http.query else ''}"

    pod, number = _found(core, request, name, port)
    if not rest and not slash and http.method in ("GET", "HEAD") and not http.header(b"upgrade") and not http.path.endswith("/"):
        _way_to(core, pod)
        # Relative links of a page would lead beside it.
        return Reply(301, b"", headers=(("Location", f"{http.path}/{'?' + http.query if http.query else ''}"),))

    async def open() -> Connection:
        connected = await _to_pod(core, pod, number)
        return await _secured(connected) if scheme == "https" else connected

    prefix = http.path.rstrip("/").removesuffix(f"/{rest}")
    asked = http.header(b"host")
    forwarded = ("X-Forwarded-Uri", quote(f"{prefix}/{rest}{slash}", safe="/~"))
    try:
        answer = await forward(http, open, path, asked or f"{name}:{port or 80}", (forwarded,), hidden=_CREDENTIALS)
        return await mended(answer, Place(prefix, asked, f"{_address(pod)}:{number}"))
    except Unreachable as error:
        raise errors.unavailable(f"error trying to reach service: {error}") from error


def options_of(request: Request, http: HttpRequest, rest: str) -> Obj:
    """What the URL asks for, as the object that admission sees."""
    path = f"/{rest}" if rest else ""
    if http.path.endswith("/") and not path.endswith("/"):
        path += "/"
    return {"kind": f"{request.resource.kind}ProxyOptions", "apiVersion": "v1", **({"path": path} if path else {})}


def split(text: str, kind: str = "Pod") -> tuple[str, str, str]:
    """(scheme, name, port) of `name`, `name:port`, `scheme:name:port`; scheme and port may be empty. Raises 400."""
    parts = text.split(":")
    if len(parts) == 1:
        return "", parts[0], ""
    if len(parts) == 2:
        return "", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return parts[0], parts[1], parts[2]
    raise errors.bad_request(f'invalid {kind.lower()} request "{text}"')


def _found(core: Core, request: Request, name: str, port: str) -> tuple[Obj, int]:
    """The pod that is meant, and its port. Raises `StatusError`."""
    if request.resource.plural == "pods":
        record = core.store.get(f"core/pods/{request.namespace}/{name}")
        if record is None:
            raise errors.not_found("pods", name)
        return record.obj, _pod_port(record.obj, port)
    record = core.store.get(f"core/services/{request.namespace}/{name}")
    if record is None:
        raise errors.not_found("services", name)
    if core.store.get(f"core/endpoints/{request.namespace}/{name}") is None:
        raise errors.not_found("services", name)
    for address in ready(core.store, request.namespace, name, _service_port(record.obj, port)):
        pod = _pod_at(core, request.namespace, address.host)
        if pod is not None:
            return pod, address.port
    raise errors.unavailable(f'no endpoints available for service "{request.name}"')


def _way_to(core: Core, pod: Obj) -> NodeConnection | None:
    """The pod's node, if it is one of ours. Raises 400 for a pod that can be reached neither so nor directly."""
    node = (pod.get("spec") or {}).get("nodeName") or ""
    connection = core.nodes(node) if node else None
    if connection is None and not is_proxyable(_address(pod)):
        raise errors.bad_request("address not allowed")
    return connection


async def _to_pod(core: Core, pod: Obj, port: int) -> Connection:
    meta, connection = pod["metadata"], _way_to(core, pod)
    if connection is not None:
        return await connection.connect(meta["namespace"], meta["name"], meta["uid"], port)
    return await asyncio.open_connection(_address(pod), port)


def is_proxyable(address: str) -> bool:
    """Is it an address of one machine somewhere, and not of this one?"""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    special = found.is_unspecified or found.is_loopback or found.is_link_local or found.is_multicast
    return not special and found != _BROADCAST


def _address(pod: Obj) -> str:
    return (pod.get("status") or {}).get("podIP") or ""


async def _secured(connection: Connection) -> Connection:
    """TLS without a question about who it is: the name of a pod stands in no certificate."""
    reader, writer = connection
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    await writer.start_tls(context)
    return reader, writer


def _pod_port(pod: Obj, wanted: str) -> int:
    """The port that is meant; without one the first that a container declares."""
    declared = [port for container in pod["spec"].get("containers") or () for port in container.get("ports") or ()]
    if not wanted:
        return int(declared[0]["containerPort"]) if declared else 80
    named = next((port["containerPort"] for port in declared if port.get("name") == wanted), None)
    return _number(wanted) if named is None else int(named)


def _service_port(service: Obj, wanted: str) -> str:
    """The name of the port that is meant, by which endpoints know it."""
    ports = (service.get("spec") or {}).get("ports") or []
    if wanted.isdecimal():
        for port in ports:
            if port["port"] == int(wanted):
                return port.get("name") or ""
        raise errors.unavailable(f'no service port {int(wanted)} found for service "{service["metadata"]["name"]}"')
    return wanted


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise errors.unavailable(f'no port is called "{text}", and it is no number from 1 to 65535')
    return int(text)


def _pod_at(core: Core, namespace: str, ip: str) -> Obj | None:
    for record in core.store.list(f"core/pods/{namespace}/").records:
        status = record.obj.get("status") or {}
        if status.get("podIP") == ip or any(found.get("ip") == ip for found in status.get("podIPs") or ()):
            return record.obj
    return None
