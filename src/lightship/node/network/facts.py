"""Facts and bookkeeping of the pod network: which ranges it uses, and which pod has which address.

Called by both runtimes, by the agent and by `main`. Pure: who really configures interfaces is `node.launch`.
Contract: the ranges that kubeadm-made clusters use by custom; cluster DNS names as in the Kubernetes DNS specification.
"""

import ipaddress
import sys
from collections.abc import Iterator

POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
NODE_CIDR = "10.95.0.0/16"
"""Addresses of nodes in the pod network; the upper half holds each one's `shadow`."""
OWN = (POD_CIDR, SERVICE_CIDR, NODE_CIDR)
"""All addresses that mean something inside the pod network only."""
GATEWAY = "10.244.0.1"
"""Where every wire ends that a pod or a node hangs on."""
API_ADDRESS, API_PORT = "10.96.0.1", 443
DNS_ADDRESS, DNS_PORT = "10.96.0.10", 53
CLUSTER_DOMAIN = "cluster.local"
HOST_MODE_CIDR = "127.244.0.0/16" if sys.platform == "linux" else "127.0.0.1/32"
"""Where host mode finds an address for each pod, on systems whose whole 127/8 is the loopback; elsewhere there is one for all of them."""
RELAY_PORT = 15_001
"""Where the relay listens at the gateway for connections that pods open to the world, whatever their port."""
HEALTH_PORT = 15_021
"""Where health checks of load balancers are answered at the gateway."""
RELAYED_PORTS = (80, 443)
"""TCP ports outside the cluster that pods can reach where the kernel cannot bring all of them to the relay."""


class AddressesExhaustedError(Exception):
    """Every address of the range is in use."""


class Addresses:
    """Hands out the addresses of a range, each to one holder; a returned one rests as long as others are free."""

    def __init__(self, cidr: str, *, reserved: int = 2) -> None:
        """`reserved`: how many addresses at the start belong to the network itself (its name and the gateway)."""
        self._network = ipaddress.ip_network(cidr)
        self._reserved = reserved
        self._held: dict[str, str] = {}
        self._used: set[str] = set()
        self._next = self._walk()

    @property
    def prefix(self) -> int:
        return self._network.prefixlen

    def allocate(self, holder: str) -> str:
        """The holder's address, new or the one it has. Raises `AddressesExhaustedError`."""
        if holder in self._held:
            return self._held[holder]
        for _ in range(self._network.num_addresses):
            address = next(self._next)
            if address not in self._used:
                self._held[holder] = address
                self._used.add(address)
                return address
        raise AddressesExhaustedError(f"all addresses of {self._network} are in use: {len(self._held)} pods")

    def hold(self, holder: str, address: str) -> str:
        """The address that somebody has already."""
        self._held[holder] = address
        self._used.add(address)
        return address

    def release(self, holder: str) -> None:
        """Idempotent."""
        self._used.discard(self._held.pop(holder, ""))

    def _walk(self) -> Iterator[str]:
        while True:
            for offset in range(self._reserved, self._network.num_addresses - 1):
                yield str(self._network[offset])


def shadow(node: str) -> str:
    """The address by which the cluster's namespace knows what a node sends to itself: there it never sees the node's own."""
    return str(ipaddress.ip_address(node) + (1 << 15))


def loopback_shadow(node: str) -> str:
    """The same for what a node sends to 127.0.0.1 and means for a pod."""
    return str(ipaddress.ip_address(node) + (1 << 14))


def resolv_conf(namespace: str, *, server: str = DNS_ADDRESS, domain: str = CLUSTER_DOMAIN) -> str:
    """What a pod's resolver needs so that short names of services work: dnsPolicy ClusterFirst."""
    return f"nameserver {server}\nsearch {namespace}.svc.{domain} svc.{domain} {domain}\noptions ndots:5\n"


_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


def hosts_file(address: str, hostname: str, extra: str = "", *, domain: str = "", host_network: bool = False) -> str:
    """/etc/hosts of a pod: the loopback, itself (below its `domain`, if it has one), and the lines its spec adds.

    Contract: kubelet pkg/kubelet/kubelet_pods.go, managedHostsFileContent.
    """
    what = " (host network)" if host_network else ""
    short = hostname.removesuffix(f".{domain}") if domain else hostname
    names = f"{short}.{domain}\t{short}" if domain else short
    added = f"\n# Entries added by HostAliases.\n{extra.rstrip()}\n" if extra else ""
    return f"# Kubernetes-managed hosts file{what}.\n{_HOSTS}{address}\t{names}\n{added}"
