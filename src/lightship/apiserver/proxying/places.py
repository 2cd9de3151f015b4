"""`/proxy` of pods and services: which process is meant, and how to reach it.

`front` calls `proxy` for requests on these subresources. A name may carry a scheme and a port (`https:web:8443`); pods are reached through
the node that runs them, services through one of their ready endpoints.
Contract: core/v1 connectGetNamespacedPodProxy and its siblings; apimachinery util/net SplitSchemeNamePort.
"""

import asyncio
import ssl
from urllib.parse import quote

from lightship.apiserver.core import Core
from lightship.apiserver.exchange import HttpRequest, Reply, Stream, Switch
from lightship.apiserver.outbound import Address
from lightship.apiserver.proxying.forwarding import Connection, Unreachable, forward
from lightship.apiserver.requests import Request
from lightship.apiserver.service_addresses import from_store
from lightship.meta import errors
from lightship.meta.objects import Obj

SUBRESOURCE = "proxy"
_CREDENTIALS = ("authorization", "impersonate-user", "impersonate-group", "impersonate-uid")


async def proxy(core: Core, request: Request, http: HttpRequest, rest: str) -> Reply | Stream | Switch:
    """The answer of the pod or service. `rest` is what comes after `/proxy/`. Raises `StatusError`."""
    scheme, name, port = split(request.name)
    slash = "/" if rest and http.path.endswith("/") else ""
    path = f"/{quote(rest, safe='/~')}{slash}{'?' + http.query if http.query else ''}"

    async def open() -> Connection:
        connected = await _connect(core, request, name, port)
        return await _secured(connected) if scheme == "https" else connected

    try:
        return await forward(http, open, path, f"{name}:{port or 80}", hidden=_CREDENTIALS)
    except Unreachable as error:
        raise errors.unavailable(f"error trying to reach service: {error}") from error


def split(text: str) -> tuple[str, str, str]:
    """(scheme, name, port) of `name`, `name:port`, `scheme:name:port`; scheme and port may be empty. Raises 400."""
    parts = text.split(":")
    if len(parts) == 1:
        return "", parts[0], ""
    if len(parts) == 2:
        return "", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return parts[0], parts[1], parts[2]
    raise errors.bad_request(f'invalid pod request "{text}"')


async def _connect(core: Core, request: Request, name: str, port: str) -> Connection:
    if request.resource.plural == "pods":
        record = core.store.get(f"core/pods/{request.namespace}/{name}")
        if record is None:
            raise errors.not_found("pods", name)
        return await _to_pod(core, record.obj, _pod_port(record.obj, port))
    record = core.store.get(f"core/services/{request.namespace}/{name}")
    if record is None:
        raise errors.not_found("services", name)
    address = from_store(core.store)(request.namespace, name, _service_port(record.obj, port))
    pod = _pod_at(core, request.namespace, address.host)
    return await _to_pod(core, pod, address.port) if pod is not None else await _to_address(address)


async def _to_pod(core: Core, pod: Obj, port: int) -> Connection:
    meta, node = pod["metadata"], (pod.get("spec") or {}).get("nodeName") or ""
    connection = core.nodes(node) if node else None
    if connection is not None:
        return await connection.connect(meta["namespace"], meta["name"], meta["uid"], port)
    ip = (pod.get("status") or {}).get("podIP")
    if not ip:
        raise errors.unavailable("address not allowed" if node else f"pod {meta['name']} does not have a host assigned")
    return await _to_address(Address(ip, port))


async def _to_address(address: Address) -> Connection:
    return await asyncio.open_connection(*address)


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


def _service_port(service: Obj, wanted: str) -> int:
    ports = (service.get("spec") or {}).get("ports") or []
    if not wanted and len(ports) == 1:
        return int(ports[0]["port"])
    named = next((port["port"] for port in ports if port.get("name") == wanted), None)
    if named is not None:
        return int(named)
    if not wanted:
        raise errors.unavailable(f'no service port "{wanted}" found for service "{service["metadata"]["name"]}"')
    return _number(wanted)


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise errors.unavailable(f'no port is called "{text}", and it is no number from 1 to 65535')
    return int(text)


def _pod_at(core: Core, namespace: str, ip: str) -> Obj | None:
    for record in core.store.list(f"core/pods/{namespace}/").records:
        if (record.obj.get("status") or {}).get("podIP") == ip:
            return record.obj
    return None
