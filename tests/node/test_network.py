"""Addresses and name files of the pod network."""

import pytest

from lightship.node.network import facts as network


def test_addresses_are_handed_out_in_turn_and_rest_when_returned() -> None:
    pool = network.Addresses("10.0.0.0/29")
    assert [pool.allocate(holder) for holder in "abc"] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    assert pool.allocate("b") == "10.0.0.3", "the same holder keeps its address"
    pool.release("a")
    pool.release("a")
    assert pool.allocate("d") == "10.0.0.5"
    assert pool.allocate("e") == "10.0.0.6"
    assert pool.allocate("f") == "10.0.0.2", "only when there is no fresher one"
    with pytest.raises(network.AddressesExhaustedError, match=r"10\.0\.0\.0/29.*5 pods"):
        pool.allocate("g")
    pool.release("c")
    assert pool.allocate("g") == "10.0.0.4"


def test_pods_never_get_the_addresses_of_the_network_itself() -> None:
    pool = network.Addresses(network.POD_CIDR)
    assert pool.prefix == 16
    assert pool.allocate("first") == "10.244.0.2"
    assert network.GATEWAY == "10.244.0.1"


def test_hosts_file_holds_the_pod_and_what_its_spec_adds() -> None:
    first, *_, own, empty, comment, added = network.hosts_file("10.244.0.9", "web-0", "1.2.3.4\tfoo\tbar\n").splitlines()
    assert (first, own) == ("# Kubernetes-managed hosts file.", "10.244.0.9\tweb-0")
    assert (empty, comment, added) == ("", "# Entries added by HostAliases.", "1.2.3.4\tfoo\tbar")
    named = network.hosts_file("10.244.0.9", "web-0.web.ns.svc.x", domain="web.ns.svc.x", host_network=True).splitlines()
    assert named[0] == "# Kubernetes-managed hosts file (host network)."
    assert named[-1] == "10.244.0.9\tweb-0.web.ns.svc.x\tweb-0"


def test_short_service_names_are_searched_in_the_pods_namespace() -> None:
    assert network.resolv_conf("team").splitlines() == [
        "nameserver 10.96.0.10",
        "search team.svc.cluster.local svc.cluster.local cluster.local",
        "options ndots:5",
    ]
