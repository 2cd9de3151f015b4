"""Addresses of host mode's pods in endpoints: what a server takes that was given these kinds, and what it refuses as any other does."""

import pytest

from lightship.kinds import ENDPOINT_SLICES, ENDPOINTS, hosted
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

HOSTED = {resource.kind: resource for resource in hosted.resources("127.244.0.0/16")}
POD = {"kind": "Pod", "namespace": "default", "name": "a", "uid": "u"}
LOOPBACK = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
ROWS: list[tuple[str, Obj | None, list[str]]] = [
    ("127.244.0.2", POD, []),
    ("127.244.255.254", POD, []),
    ("10.244.0.2", None, []),
    ("127.244.0.2", None, [LOOPBACK]),
    ("127.244.0.2", {"kind": "Node", "name": "a"}, [LOOPBACK]),
    ("127.0.0.1", POD, [LOOPBACK]),
    ("127.245.0.1", POD, [LOOPBACK]),
    ("0.0.0.0", POD, ["may not be unspecified (0.0.0.0)"]),
    ("169.254.0.1", POD, ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]),
    ("127.244.0", POD, ["must be a valid IP address"]),
]


def told(resource: Resource, address: str, target: Obj | None) -> list[str]:
    """What is wrong with an object whose only endpoint this is."""
    ref = {"targetRef": target} if target else {}
    meta = {"name": "web", "namespace": "default"}
    assert resource.validate is not None
    if resource.kind == "Endpoints":
        subset = {"addresses": [{"ip": address, **ref}], "ports": [{"port": 80, "protocol": "TCP"}]}
        found = resource.validate({"metadata": meta, "subsets": [subset]}, None)
    else:
        piece = {"metadata": meta, "addressType": "IPv4", "endpoints": [{"addresses": [address], "conditions": {}, **ref}], "ports": []}
        found = resource.validate(piece, None)
    return [cause.message for cause in found]


@pytest.mark.parametrize("kind", ["EndpointSlice", "Endpoints"])
@pytest.mark.parametrize(("address", "target", "want"), ROWS)
def test_what_is_taken(kind: str, address: str, target: Obj | None, want: list[str]) -> None:
    found = told(HOSTED[kind], address, target)
    assert bool(found) == bool(want)
    assert all(any(word in message for message in found) for word in want)


@pytest.mark.parametrize("resource", [ENDPOINT_SLICES, ENDPOINTS], ids=lambda resource: str(resource.kind))
def test_any_other_server_refuses_it(resource: Resource) -> None:
    assert told(resource, "127.244.0.2", POD) == [f'Invalid value: "127.244.0.2": {LOOPBACK}']


def test_they_stand_for_the_usual_kinds() -> None:
    assert [resource.identity for resource in HOSTED.values()] == [ENDPOINT_SLICES.identity, ENDPOINTS.identity]
