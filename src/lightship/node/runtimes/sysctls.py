"""Which kernel settings a pod may have: those that belong to its own namespaces and touch nobody else.

Pure; the agent asks `forbidden` before a pod is taken, the sandbox runtime asks `own` for whatever it is given.
Contract: the kubelet's safe sysctls; namespaced ones by namespaces(7), ipc_namespaces(7).
"""

from collections.abc import Iterable

SAFE = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
"""What every pod may set, by the name with dots."""
_OF_NAMESPACES = ("kernel.shm", "kernel.msg", "fs.mqueue.", "net.")


def forbidden(names: Iterable[str]) -> str:
    """The first name that is not safe; empty when all are. Slashes may stand for dots."""
    return next((name for name in names if name.replace("/", ".") not in SAFE), "")


def own(name: str) -> bool:
    """Whether a setting (with dots) belongs to a namespace that each pod has for itself."""
    return (name.startswith(_OF_NAMESPACES) or name == "kernel.sem") and all(name.split("."))
