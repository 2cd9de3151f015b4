"""Host mode's rewriting of names and ports."""

import itertools

import pytest

from lightship.meta.objects import Obj
from lightship.node.network import hostmode
from lightship.node.network.hostmode import AddressPendingError, HostPorts

from .make import container, pod


def member(index: int, ip: str, job: str = "j") -> Obj:
    return pod(
        container(ports=[{"containerPort": 29500}]),
        meta={"uid": f"{job}{index}", "name": f"{job}-{index}"},
        status={"podIP": ip} if ip else {},
        hostname=f"{job}-node-0-{index}",
        subdomain=job,
    )


NAMES = hostmode.pod_names([member(0, "127.244.0.2"), member(1, "127.244.0.3"), member(2, "")])


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("PET_MASTER_ADDR", "j-node-0-0.j", "127.244.0.2"),
        ("ADDR", "j-node-0-1.j.default.svc.cluster.local", "127.244.0.3"),
        ("URL", "http://j-node-0-0.j:29500/x", "http://127.244.0.2:40000/x"),
        ("LIST", "j-node-0-0.j,j-node-0-1.j", "127.244.0.2,127.244.0.3"),
        ("PET_MASTER_PORT", "29500", "40000"),
        ("COUNT", "29500", "29500"),
        ("OTHER_PORT", "8080", "8080"),
        ("BACK", "tcp://10.0.0.1:29500", "tcp://10.0.0.1:40000"),
        ("LONGER", "xj-node-0-0.j", "waiting"),
        ("FILE", "my.j-node-0-0.jar", "my.j-node-0-0.jar"),
        ("PLAIN", "a.b.c", "a.b.c"),
    ],
)
def test_values(name: str, value: str, want: str) -> None:
    if want == "waiting":
        with pytest.raises(AddressPendingError, match=r"waiting for the address of pod xj-node-0-0\.j"):
            hostmode.rewrite({name: value}, NAMES, {29500: 40000}, "j")
    else:
        assert hostmode.rewrite({name: value}, NAMES, {29500: 40000}, "j") == {name: want}


def test_a_pod_without_an_address_is_waited_for() -> None:
    with pytest.raises(AddressPendingError, match=r"j-node-0-2\.j"):
        hostmode.rewrite_text("--rdzv=j-node-0-2.j:29500", NAMES, {})


def test_pods_of_one_job_share_a_port_and_two_jobs_do_not() -> None:
    free = itertools.count(40_000)
    ports = HostPorts(lambda: next(free))
    first = ports.assign(member(0, ""))
    assert ports.assign(member(1, "")) == first == {29500: 40_000}
    assert ports.assign(member(0, "", job="k")) == {29500: 40_001}
    ports.release(member(0, ""))
    assert ports.assign(member(1, "")) == first
    ports.release(member(1, ""))
    assert ports.assign(member(1, "")) == {29500: 40_002}


def test_free_ports_can_be_bound() -> None:
    assert 1024 < hostmode.free_port() < 65536


def test_services_of_this_process_are_found_where_they_are() -> None:
    doors = {"status.kubeflow-system.svc:10443": "127.0.0.1:41234"}
    assert hostmode.through("https://status.kubeflow-system.svc:10443/x", doors) == "https://127.0.0.1:41234/x"
    assert hostmode.through("https://other.kubeflow-system.svc:10443/x", doors) == "https://other.kubeflow-system.svc:10443/x"
