"""Host mode's substitute for cluster names and private ports: text rewritten before a container starts.

Without network namespaces a pod cannot be found by name, and two jobs that both listen on 29500 would meet. So, in environment variables
and arguments only: `<hostname>.<subdomain>` of a pod in the namespace becomes its address, and a declared containerPort becomes a free
port of this machine, the same for all pods of one subdomain, where it follows an address (`host:29500`) or is the whole value of a
variable whose name ends in PORT. A program that computes such names or ports itself is beyond help: that is the limit of host mode.
Pure but for the injected `free_port`. Called by `worker` when the runtime is `process`.
"""

import re
import socket
from collections.abc import Callable, Iterable, Mapping

from lightship.meta import objects
from lightship.meta.objects import Obj

from .facts import CLUSTER_DOMAIN

_PORT = re.compile(r"(?<=[\w\]]):(\d{1,5})(?!\d)")


class AddressPendingError(Exception):
    """A pod that is named has no address yet."""


class HostPorts:
    """Real ports for declared ones, by group of pods that must agree on them."""

    def __init__(self, free_port: Callable[[], int]) -> None:
        self._free_port = free_port
        self._ports: dict[tuple[str, int], int] = {}
        self._members: dict[str, set[str]] = {}

    def assign(self, pod: Obj) -> dict[int, int]:
        """Declared → real port for the containers of a pod; the pod counts as a member of its group until `release`."""
        group = group_of(pod)
        self._members.setdefault(group, set()).add(objects.uid(pod))
        return {port: self._one(group, port) for port in declared_ports(pod)}

    def release(self, pod: Obj) -> None:
        """Forget a group with its last pod; idempotent."""
        group = group_of(pod)
        members = self._members.get(group, set())
        members.discard(objects.uid(pod))
        if not members:
            self._members.pop(group, None)
            for key in [k for k in self._ports if k[0] == group]:
                del self._ports[key]

    def _one(self, group: str, port: int) -> int:
        if (group, port) not in self._ports:
            self._ports[group, port] = self._free_port()
        return self._ports[group, port]


def group_of(pod: Obj) -> str:
    """Pods below one subdomain talk to each other; a pod without one is alone."""
    subdomain = objects.spec(pod).get("subdomain")
    return f"{objects.namespace(pod)}/{subdomain}" if subdomain else objects.uid(pod)


def declared_ports(pod: Obj) -> list[int]:
    containers = objects.spec(pod).get("containers") or ()
    return sorted({int(port["containerPort"]) for c in containers for port in c.get("ports") or () if port.get("containerPort")})


def named(pod: Obj) -> Iterable[str]:
    """Index function: the namespace in which a pod has a name."""
    spec = objects.spec(pod)
    return (objects.namespace(pod),) if spec.get("hostname") and spec.get("subdomain") else ()


def pod_names(pods: Iterable[Obj]) -> dict[str, str]:
    """Every name by which a pod can be called → its address, empty while it has none. Short names are those of one namespace."""
    found: dict[str, str] = {}
    for pod in pods:
        spec = objects.spec(pod)
        if not spec.get("hostname") or not spec.get("subdomain"):
            continue
        short = f"{spec['hostname']}.{spec['subdomain']}"
        address = objects.status(pod).get("podIP") or ""
        in_namespace = f"{short}.{objects.namespace(pod)}"
        for name in (short, in_namespace, f"{in_namespace}.svc", f"{in_namespace}.svc.{CLUSTER_DOMAIN}"):
            found[name] = address or found.get(name, "")
    return found


def through(text: str, doors: Mapping[str, str]) -> str:
    """One value or argument with the addresses of services (`name:port`) that this machine itself serves."""
    for door, place in doors.items():
        if door in text:
            text = text.replace(door, place)
    return text


def rewrite(env: Mapping[str, str], names: Mapping[str, str], ports: Mapping[int, int], subdomain: str = "") -> dict[str, str]:
    """The environment as host mode needs it. Raises `AddressPendingError` naming the pod it must wait for."""
    return {name: _port_value(name, rewrite_text(value, names, ports, subdomain), ports) for name, value in env.items()}


def rewrite_text(text: str, names: Mapping[str, str], ports: Mapping[int, int], subdomain: str = "") -> str:
    """One value or argument. `subdomain` is the pod's own: a name below it that is not known yet is worth waiting for."""
    if "." in text:
        text = _names_pattern(names, subdomain).sub(lambda match: _address(match[0], names), text)
    return _PORT.sub(lambda match: ":" + str(ports.get(int(match[1]), match[1])), text) if ports else text


def _names_pattern(names: Mapping[str, str], subdomain: str) -> re.Pattern[str]:
    known = [re.escape(name) for name in sorted(names, key=len, reverse=True)]
    if subdomain:
        known.append(rf"[a-z0-9][a-z0-9-]*\.{re.escape(subdomain)}")
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(known)})(?![\w-]|\.\w)") if known else re.compile(r"(?!)")


def _address(name: str, names: Mapping[str, str]) -> str:
    address = names.get(name)
    if not address:
        raise AddressPendingError(f"waiting for the address of pod {name}")
    return address


def _port_value(name: str, value: str, ports: Mapping[int, int]) -> str:
    if name.upper().endswith("PORT") and value.isdigit():
        return str(ports.get(int(value), value))
    return value


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
