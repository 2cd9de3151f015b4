"""Gives Services their addresses and node ports, in the very commit that stores the Service.

Every address that is taken is an IPAddress object, every port a record of the store that no API shows; both are written with the Service
or not at all (`AdmissionRequest.also`), so that no two Services can have the same, not even after a crash. What a deleted Service had is
free before its client hears of it; what a crash has left over, `repair` clears away at the next start. Runs after all admission that may
change the Service. Writes that are no Service's cost nothing.
Contract: kube 1.36 pkg/registry/core/service/storage/alloc.go; KEP-1880; error texts as kube-apiserver's.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from lightship.apiserver import objectmeta
from lightship.apiserver.core import Core
from lightship.apiserver.verbs.writing import encoder
from lightship.kinds import SERVICES
from lightship.kinds.networking import address_ranges, service_shape
from lightship.kinds.networking.address_ranges import PORTS, Range
from lightship.meta import errors, times
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj
from lightship.store import Delete, Op, Put, Record, RevisionMismatch

ADDRESSES = "networking.k8s.io/ipaddresses//"
CIDRS = "networking.k8s.io/servicecidrs//"
NODE_PORTS = "lightship/nodeports//"
_HELD_SECONDS = 30.0
"""How long a chosen address is kept for a write that is still being judged."""
_TAKEN_ADDRESS = "provided IP is already allocated"
_TAKEN_PORT = "provided port is already allocated"
_OUTSIDE = "the provided network does not match the current range"


def admission(core: Core) -> list[Admission]:
    """The rule, for servers that serve Services and their addresses."""
    find = core.catalogue.find
    if find("", "v1", "services") is None or find("networking.k8s.io", "v1", "ipaddresses") is None:
        return []
    allocator = Allocator(core)
    core.committed[SERVICES.bucket] = allocator.committed
    return [Admission(name="ServiceAllocation", resources=(SERVICES,), settle=allocator.allocate)]


class _Asked(NamedTuple):
    """Which Service (`namespace/name`) is asked for, and whether it is really written."""

    owner: str
    dry_run: bool

    def refusal(self, field: str, value: object, why: str) -> errors.StatusError:
        return errors.invalid("Service", self.owner.partition("/")[2], [errors.invalid_value(field, value, why)])


class Allocator:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._held: dict[str, float] = {}

    async def allocate(self, request: AdmissionRequest) -> list[str] | None:
        """Complete a Service that is to be written. Raises 422, and 500 when nothing is left."""
        service, old = request.obj, request.old
        if service is None or request.subresource or request.operation == "DELETE":
            return None
        name = service["metadata"].get("name") or ""
        before = (old.get("spec") or {}) if old is not None else None
        spec = service["spec"]
        causes = service_shape.choose_families(spec, before, self._families())
        if causes:
            raise errors.invalid("Service", name, causes)
        asked = _Asked(f"{request.namespace}/{name}", request.dry_run)
        request.also.extend(self._addresses(spec, before, asked))
        request.also.extend(self._ports(spec, before, asked))
        if before is not None:
            service_shape.drop_unneeded(service, before)
        return None

    async def committed(self, record: Record, deleted: bool) -> None:
        """A Service was written: give back what a deleted one had."""
        if deleted:
            meta, spec = record.obj["metadata"], record.obj.get("spec") or {}
            owner = f"{meta.get('namespace', '')}/{meta['name']}"
            keys = [*map(_address_key, _given(spec)), *map(_port_key, _all_ports(spec))]
            for key in keys:
                await self._free(key, owner)

    async def _free(self, key: str, owner: str) -> None:
        while True:
            head = self._core.store.head(key)
            if head is None or _owner(head.obj) != owner:
                return
            try:
                await self._core.commit(key.partition("//")[0], Delete(key, encoder(dict(head.obj)), head.revision, head.obj))
            except RevisionMismatch:
                continue
            return

    def _families(self) -> list[str]:
        """The cluster's, the default one first."""
        found = [r.family for r in self._ranges(default=True)]
        return list(dict.fromkeys(found)) or ["IPv4"]

    def _ranges(self, *, default: bool = False) -> Iterator[Range]:
        """Of every ServiceCIDR that is ready; of the cluster's own alone."""
        for record in self._core.store.list(CIDRS).records:
            if address_ranges.is_ready(record.obj) and (not default or record.key == CIDRS + "kubernetes"):
                yield from map(Range, (record.obj.get("spec") or {}).get("cidrs") or ())

    # addresses ---------------------------------------------------------------------------------------------------------------------

    def _addresses(self, spec: Obj, before: Obj | None, asked: _Asked) -> Iterator[Op]:
        """Choose what is not chosen yet, in place; what to write and to delete."""
        old = _given(before or {})
        if service_shape.needs_address(spec) and spec.get("clusterIP") != service_shape.HEADLESS:
            fresh = before is None or not service_shape.needs_address(before)
            if fresh or 0 < len(old) < len(spec.get("ipFamilies") or ()):
                yield from self._choose_addresses(spec, () if fresh else old, asked)
        kept = set(_given(spec))
        for address in old:
            if address not in kept or not service_shape.needs_address(spec):
                yield from self._release(_address_key(address), asked.owner)

    def _choose_addresses(self, spec: Obj, old: Iterable[str], asked: _Asked) -> Iterator[Op]:
        chosen = list(spec.get("clusterIPs") or ())
        had = set(old)
        for i, family in enumerate(spec.get("ipFamilies") or ()):
            if i < len(chosen) and chosen[i] in had:
                continue
            if i < len(chosen) and chosen[i]:
                self._check_address(chosen[i], chosen, asked)
            else:
                chosen[i:] = [self._next_address(family, asked.owner), *chosen[i + 1 :]]
            yield _put_address(self._core, chosen[i], asked.owner)
        if chosen:
            spec["clusterIPs"], spec["clusterIP"] = chosen, chosen[0]

    def _check_address(self, address: str, chosen: list[str], asked: _Asked) -> None:
        why = ""
        if not any(address in found for found in self._ranges(default=asked.dry_run)):
            whole = next((str(found.network) for found in self._ranges(default=True)), "")
            outside = f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {whole}"
            why = outside if asked.dry_run else _OUTSIDE
        elif self._core.store.head(_address_key(address)) is not None:
            why = _TAKEN_ADDRESS
        if why:
            raise asked.refusal("spec.clusterIPs", chosen, f"failed to allocate IP {address}: {why}")

    def _next_address(self, family: str, owner: str) -> str:
        ranges = [r for r in self._ranges() if r.family == family]
        candidates = (address for found in ranges for address in found.candidates(self._core.random))
        free = self._first_free(candidates, _address_key)
        if free is None:
            raise errors.internal(f'failed to allocate a serviceIP for Service "{owner.partition("/")[2]}": range is full')
        return free

    # ports -------------------------------------------------------------------------------------------------------------------------

    def _ports(self, spec: Obj, before: Obj | None, asked: _Asked) -> Iterator[Op]:
        old = set(_all_ports(before or {}))
        taken: set[int] = set()
        if spec.get("type") in (service_shape.NODE_PORT, service_shape.LOAD_BALANCER):
            choose = self._choose_new_ports if before is None else self._choose_changed_ports
            for number in choose(spec, old, taken, asked):
                yield _put_port(number, asked.owner)
        if service_shape.needs_health_check(spec) and not (before and service_shape.needs_health_check(before)):
            yield _put_port(self._choose_health_port(spec, taken | old, asked), asked.owner)
        for port in sorted(old - set(_all_ports(spec))):
            yield from self._release(_port_key(port), asked.owner)

    def _choose_new_ports(self, spec: Obj, old: set[int], taken: set[int], asked: _Asked) -> Iterator[int]:
        """Ports of one number (TCP and UDP) share a node port. Yields what is new."""
        by_number: dict[int, int] = {}
        for i, port in enumerate(spec.get("ports") or ()):
            wanted, number = port.get("nodePort") or 0, port.get("port") or 0
            shared = by_number.get(number, 0)
            if (not wanted and not service_shape.needs_ports(spec)) or (shared and wanted == shared):
                continue
            if shared and not wanted:
                port["nodePort"] = shared
                continue
            wanted = wanted or _asked_for(spec, number)
            if wanted:
                self._check_port(i, wanted, taken, asked)
            else:
                wanted = self._next_port(taken, "nodePort")
            port["nodePort"] = wanted
            by_number.setdefault(number, wanted)
            taken.add(wanted)
            yield wanted

    def _choose_changed_ports(self, spec: Obj, old: set[int], taken: set[int], asked: _Asked) -> Iterator[int]:
        """Of an existing Service: what it has it keeps. Yields what is new."""
        for i, port in enumerate(spec.get("ports") or ()):
            wanted = port.get("nodePort") or 0
            if not wanted and not service_shape.needs_ports(spec):
                continue
            if not wanted:
                wanted = port["nodePort"] = self._next_port(taken, "nodePort")
            elif wanted in old or wanted in taken:
                continue
            else:
                self._check_port(i, wanted, taken, asked)
            taken.add(wanted)
            yield wanted

    def _choose_health_port(self, spec: Obj, taken: set[int], asked: _Asked) -> int:
        wanted: int = spec.get("healthCheckNodePort") or 0
        why = self._port_problem(wanted, taken, asked) if wanted else ""
        if why:
            raise errors.internal(f"failed to allocate requested HealthCheck NodePort {wanted}: {why}")
        wanted = spec["healthCheckNodePort"] = wanted or self._next_port(taken, "HealthCheck NodePort 0")
        return wanted

    def _check_port(self, i: int, port: int, taken: set[int], asked: _Asked) -> None:
        why = self._port_problem(port, taken, asked)
        if why:
            raise asked.refusal(f"spec.ports[{i}].nodePort", port, why)

    def _port_problem(self, port: int, taken: set[int], asked: _Asked) -> str:
        """The real server does not look at the range in a dry run."""
        if port not in PORTS and not asked.dry_run:
            return f"provided port is not in the valid range. The range of valid ports is {PORTS.start}-{PORTS.stop - 1}"
        return _TAKEN_PORT if port in taken or self._core.store.head(_port_key(port)) is not None else ""

    def _next_port(self, taken: set[int], what: str) -> int:
        candidates = (str(p) for p in address_ranges.port_candidates(self._core.random) if p not in taken)
        free = self._first_free(candidates, lambda port: _port_key(int(port)))
        if free is None:
            raise errors.internal(f"failed to allocate a {what}: range is full")
        return int(free)

    # both --------------------------------------------------------------------------------------------------------------------------

    def _first_free(self, candidates: Iterable[str], key_of: Callable[[str], str]) -> str | None:
        """The first that is neither taken nor held for a write that is on its way; held from now on."""
        now = self._core.clock.now()
        if len(self._held) > len(PORTS):
            self._held = {key: until for key, until in self._held.items() if until > now}
        for candidate in candidates:
            key = key_of(candidate)
            if self._held.get(key, 0.0) <= now and self._core.store.head(key) is None:
                self._held[key] = now + _HELD_SECONDS
                return candidate
        return None

    def _release(self, key: str, owner: str) -> Iterator[Op]:
        head = self._core.store.head(key)
        if head is not None and _owner(head.obj) == owner:
            yield Delete(key, encoder(dict(head.obj)), head.revision, head.obj)
        self._held.pop(key, None)


def repair(core: Core) -> list[Op]:
    """What must be written so that the records of addresses and ports say what the stored Services have, and no more."""
    wanted: dict[str, str] = {}
    for record in core.store.list(SERVICES.bucket + "/").records:
        meta, spec = record.obj["metadata"], record.obj.get("spec") or {}
        owner = f"{meta.get('namespace', '')}/{meta['name']}"
        wanted.update(dict.fromkeys((*map(_address_key, _given(spec)), *map(_port_key, _all_ports(spec))), owner))
    records = [*core.store.list(ADDRESSES).records, *core.store.list(NODE_PORTS).records]
    left = [r for r in records if wanted.pop(r.key, None) is None and (r.key.startswith(NODE_PORTS) or address_ranges.is_managed(r.obj))]
    ops: list[Op] = [Delete(r.key, encoder(dict(r.obj)), r.revision, r.obj) for r in left]
    for key, owner in wanted.items():
        name = key.rpartition("//")[2]
        ops.append(_put_port(int(name), owner) if key.startswith(NODE_PORTS) else _put_address(core, name, owner))
    return ops


def default_range(core: Core, cidr: str = address_ranges.SERVICE_CIDR) -> Obj:
    return address_ranges.default_range(cidr, times.rfc3339(core.clock.now()))


def _address_key(address: str) -> str:
    return ADDRESSES + address


def _port_key(port: int) -> str:
    return f"{NODE_PORTS}{port}"


def _put_address(core: Core, address: str, owner: str) -> Op:
    namespace, _, name = owner.partition("/")
    obj = address_ranges.address_object(address, namespace, name)
    objectmeta.stamp_new(obj["metadata"], core.uid(), times.rfc3339(core.clock.now()), generation=False)
    return Put(_address_key(address), encoder(obj), 0, obj)


def _put_port(port: int, owner: str) -> Op:
    obj: Obj = {"kind": "NodePort", "apiVersion": "lightship.dev/v1alpha1", "metadata": {"name": str(port)}, "owner": owner}
    return Put(_port_key(port), encoder(obj), 0, obj)


def _owner(obj: Obj) -> str:
    parent = (obj.get("spec") or {}).get("parentRef") or {}
    return obj.get("owner") or f"{parent.get('namespace', '')}/{parent.get('name', '')}"


def _given(spec: Obj) -> list[str]:
    """The addresses that a stored Service has."""
    if not service_shape.needs_address(spec):
        return []
    return [a for a in spec.get("clusterIPs") or () if a and a != service_shape.HEADLESS]


def _all_ports(spec: Obj) -> list[int]:
    """The node ports that a stored Service has."""
    if spec.get("type") not in (service_shape.NODE_PORT, service_shape.LOAD_BALANCER):
        return []
    health = spec.get("healthCheckNodePort") if service_shape.needs_health_check(spec) else 0
    return service_shape.node_ports(spec) + ([health] if health else [])


def _asked_for(spec: Obj, number: int) -> int:
    return next((p["nodePort"] for p in spec["ports"] if p.get("port") == number and p.get("nodePort")), 0)
