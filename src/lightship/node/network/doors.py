"""Ports of the pod network that the host itself shows: node ports and host ports, on its loopback only.

`main` runs a `proxy` with these places, so that what a cluster's node would answer at its own address is found at 127.0.0.1 here. A port
that somebody else has on this machine stays his. Pure but for the sockets.
"""

import socket
from collections.abc import Iterable

from lightship.meta import objects
from lightship.meta.objects import Obj

from . import backends, podrules
from . import nftables as nft
from .plane import SLICES, Sources
from .proxy import Place, Places, Sockets, Targets, targets_of

LOOPBACK = "127.0.0.1"
_ANYWHERE = ("", "0.0.0.0", LOOPBACK)
_SERVICES, _PODS = "doors/services", "doors/pods"


def host_places(sources: Sources) -> Places:
    """What the host shows, and where it leads. The pod that comes first by its name has a port that several claim."""
    sources.services.add_index(_SERVICES, _with_node_ports)
    sources.pods.add_index(_PODS, _with_host_ports)
    sources.slices.add_index(SLICES, backends.service_of)

    def places() -> dict[Place, Targets]:
        found: dict[Place, Targets] = {}
        for service in sources.services.by_index(_SERVICES, ""):
            for entry in objects.spec(service).get("ports") or ():
                if entry.get("nodePort") and entry.get("protocol") != "SCTP":
                    place = Place(LOOPBACK, entry["nodePort"], entry.get("protocol") == "UDP")
                    found[place] = targets_of(sources, service, entry)
        for pod in sorted(sources.pods.by_index(_PODS, ""), key=objects.key):
            for port in podrules.host_ports(pod):
                if port.host_ip in _ANYWHERE and port.protocol != nft.SCTP:
                    target = (podrules.address_of(pod), port.container_port)
                    found.setdefault(Place(LOOPBACK, port.port, port.protocol == nft.UDP), Targets((target,)))
        return found

    return places


class HostSockets:
    """Listens on the host and reaches pods by way of their runtime."""

    def __init__(self, inside: Sockets) -> None:
        self._inside = inside

    async def listen(self, address: str, port: int, *, datagram: bool = False) -> socket.socket:
        """Raises `OSError`."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
        try:
            if not datagram:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            if not datagram:
                made.listen(1024)
            made.setblocking(False)
        except OSError:
            made.close()
            raise
        return made

    async def open_socket(self, *, datagram: bool = False) -> socket.socket:
        return await self._inside.open_socket(datagram=datagram)


def _with_node_ports(service: Obj) -> Iterable[str]:
    return [""] if any(entry.get("nodePort") for entry in objects.spec(service).get("ports") or ()) else []


def _with_host_ports(pod: Obj) -> Iterable[str]:
    return [""] if podrules.address_of(pod) and any(podrules.host_ports(pod)) else []
