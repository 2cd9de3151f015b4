"""EndpointSlices that say what Endpoints say which somebody has written by hand. Pure; called by `mirror_controller`.

Every set of ports has one slice for each kind of address; more addresses than fit are left out and told of. Names of new slices follow
from the Endpoints, their ports and the kind of address.
Contract: pkg/controller/endpointslicemirroring (labels, owners, events, which slices are used again), pkg/api/v1/endpoints RepackSubsets.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lightship.builtin.endpoints.build import MANAGED_BY, SERVICE_NAME
from lightship.meta import objects
from lightship.meta.objects import Obj

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
MOST = 1000
"""Addresses of one set of ports that are mirrored."""
NOT_COPIED = ("endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration")
INVALID = "Skipped {} invalid IP addresses when mirroring to EndpointSlices"
TOO_MANY = "A max of {} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses were skipped"


class Mirror(NamedTuple):
    """What is to be written, and to be told of the Endpoints: reason and message."""

    create: list[Obj]
    update: list[Obj]
    delete: list[Obj]
    warnings: list[tuple[str, str]]


class _Wanted:
    """The endpoints of one set of ports and one kind of address."""

    def __init__(self, ports: list[Obj], family: str) -> None:
        self.ports = ports
        self.family = family
        self.endpoints: dict[str, Obj] = {}


def is_mirrored(endpoints: Obj) -> bool:
    """Not those whose writer says no, and not those that somebody elects a leader with."""
    return objects.labels(endpoints).get(SKIP) != "true" and LEADER not in objects.annotations(endpoints)


def plan(endpoints: Obj, existing: Iterable[Obj], most: int = MOST) -> Mirror:
    """`existing` are the slices that mirror these Endpoints by now."""
    wanted, warnings = _wanted(endpoints, most)
    found: dict[str, list[Obj]] = {}
    for piece in existing:
        found.setdefault(_key(piece.get("ports") or [], piece.get("addressType") or ""), []).append(piece)
    create: list[_Wanted] = []
    update: list[Obj] = []
    delete: list[Obj] = [piece for key, pieces in found.items() if key not in wanted for piece in pieces]
    for key, want in wanted.items():
        pieces = found.get(key, [])
        delete += pieces[1:] if want.endpoints else pieces
        if want.endpoints and not pieces:
            create.append(want)
        elif want.endpoints and not _is_same(endpoints, pieces[0], want):
            update.append(_slice(endpoints, want, objects.name(pieces[0]), pieces[0]))
    create = _used_again(endpoints, create, update, delete)
    if objects.is_deleting(endpoints):
        create = []
    taken = {objects.name(piece) for pieces in found.values() for piece in pieces}
    return Mirror([_slice(endpoints, want, _name(endpoints, want, taken)) for want in create], update, delete, warnings)


def _used_again(endpoints: Obj, create: list[_Wanted], update: list[Obj], delete: list[Obj]) -> list[_Wanted]:
    """Slices that would be deleted become what would be created, where the kind of address is the same. What is left to create."""
    left = []
    for want in create:
        piece = next((piece for piece in delete if piece.get("addressType") == want.family), None)
        if piece is None:
            left.append(want)
        else:
            delete.remove(piece)
            update.append(_slice(endpoints, want, objects.name(piece), piece))
    return left


def _wanted(endpoints: Obj, most: int) -> tuple[dict[str, _Wanted], list[tuple[str, str]]]:
    found: dict[str, _Wanted] = {}
    invalid = skipped = 0
    for ports, addresses in repacked(endpoints.get("subsets") or ()):
        listed = [_port(port) for port in ports]
        for family in ("IPv4", "IPv6"):
            found.setdefault(_key(listed, family), _Wanted(listed, family))
        added = 0
        for address, ready in addresses:
            if added >= most:
                break
            family, endpoint = _endpoint(address, ready=ready)
            if not family:
                invalid += 1
                continue
            found[_key(listed, family)].endpoints[_identity(endpoint)] = endpoint
            added += 1
        skipped += len(addresses) - added
    warnings = [("InvalidIPAddress", INVALID.format(invalid))] if invalid else []
    if skipped > invalid:
        warnings.append(("TooManyAddressesToMirror", TOO_MANY.format(most, skipped)))
    return found, warnings


def repacked(subsets: Iterable[Obj]) -> Iterator[tuple[list[Obj], list[tuple[Obj, bool]]]]:
    """Every set of ports once, with the addresses that offer them all: those that are ready first. Who is said to be both is not."""
    first: dict[tuple[str, str], Obj] = {}
    by_port: dict[str, dict[tuple[str, str], bool]] = {}
    ports: dict[str, Obj | None] = {}
    for subset in subsets:
        for port in subset.get("ports") or [None]:
            text = _text(port)
            ports[text] = port
            offered = by_port.setdefault(text, {})
            for field, ready in (("addresses", True), ("notReadyAddresses", False)):
                for address in subset.get(field) or ():
                    who = (address["ip"], (address.get("targetRef") or {}).get("uid") or "")
                    first.setdefault(who, address)
                    offered[who] = offered.get(who, True) and ready
    together: dict[str, list[str]] = {}
    for text, offered in by_port.items():
        together.setdefault(_text(sorted([*who, ready] for who, ready in offered.items())), []).append(text)
    for texts in together.values():
        offered = by_port[texts[0]]
        addresses = [(first[who], ready) for who, ready in sorted(offered.items(), key=lambda item: (not item[1], item[0]))]
        yield [port for text in sorted(texts) if (port := ports[text]) is not None], addresses


def _port(port: Obj) -> Obj:
    found = {"name": port.get("name") or "", "port": port["port"], "protocol": port.get("protocol") or "TCP"}
    return {**found, "appProtocol": port["appProtocol"]} if port.get("appProtocol") else found


def _endpoint(address: Obj, *, ready: bool) -> tuple[str, Obj]:
    """Kind of address and endpoint; no kind for what is no address."""
    try:
        text = address["ip"]
        ip = ipaddress.ip_address(text if ":" in text else ".".join(part.lstrip("0") or "0" for part in text.split(".")))
    except ValueError:
        return "", {}
    endpoint: Obj = {"addresses": [str(ip)], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            endpoint[field] = address[field]
    return f"IPv{ip.version}", endpoint


def _identity(endpoint: Obj) -> str:
    target = endpoint.get("targetRef") or {}
    return _text([sorted(endpoint["addresses"]), endpoint.get("hostname") or "", target.get("namespace"), target.get("name")])


def _is_same(endpoints: Obj, piece: Obj, want: _Wanted) -> bool:
    """Does the slice say already what it should?"""
    owners = objects.meta(piece).get("ownerReferences") or ()
    if any(o.get("kind") == "Endpoints" and o["name"] == objects.name(endpoints) and o["uid"] != objects.uid(endpoints) for o in owners):
        return False
    labels = {key: value for key, value in objects.labels(piece).items() if key not in (MANAGED_BY, SERVICE_NAME)}
    if labels != objects.labels(endpoints) or objects.annotations(piece) != _annotations(endpoints):
        return False
    found = {_identity(endpoint): _compared(endpoint) for endpoint in piece.get("endpoints") or ()}
    return found == {key: _compared(endpoint) for key, endpoint in want.endpoints.items()}


def _compared(endpoint: Obj) -> str:
    target = {key: value for key, value in (endpoint.get("targetRef") or {}).items() if key != "resourceVersion"}
    return _text([endpoint.get("nodeName"), endpoint.get("zone"), endpoint.get("conditions"), target])


def _annotations(endpoints: Obj) -> dict[str, str]:
    return {key: value for key, value in objects.annotations(endpoints).items() if key not in NOT_COPIED}


def _slice(endpoints: Obj, want: _Wanted, name: str, old: Obj | None = None) -> Obj:
    """With the version of the slice that it takes the place of."""
    owner = objects.owner_reference({"apiVersion": "v1", "kind": "Endpoints", **endpoints})
    version = objects.meta(old or {}).get("resourceVersion")
    notes = _annotations(endpoints)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": objects.namespace(endpoints),
            "labels": {**objects.labels(endpoints), SERVICE_NAME: objects.name(endpoints), MANAGED_BY: MANAGER},
            "ownerReferences": [owner],
            **({"annotations": notes} if notes else {}),
            **({"resourceVersion": version} if version else {}),
        },
        "addressType": want.family,
        "endpoints": list(want.endpoints.values()),
        "ports": want.ports,
    }


def _name(endpoints: Obj, want: _Wanted, taken: set[str]) -> str:
    """The same for the same ports, unless a slice that was used again has it."""
    for number in range(len(taken) + 1):
        text = f"{objects.uid(endpoints)}/{_key(want.ports, want.family)}/{number}"
        name = f"{objects.name(endpoints)[:57]}-{hashlib.blake2b(text.encode(), digest_size=3).hexdigest()[:5]}"
        if name not in taken:
            taken.add(name)
            break
    return name


def _key(ports: list[Obj], family: str) -> str:
    return f"{family} {sorted(_text(port) for port in ports)}"


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
