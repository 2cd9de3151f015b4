"""`lightship top`, as pure rows."""

from lightship.cli import top
from lightship.meta.objects import Obj


def pod(name: str, *used: tuple[str, str, str]) -> Obj:
    containers = [{"name": container, "usage": {"cpu": cpu, "memory": memory}} for container, cpu, memory in used]
    return {"metadata": {"name": name, "namespace": "default"}, "containers": containers}


PODS = [pod("b", ("main", "250m", "64Mi"), ("side", "1500000n", "512Ki")), pod("a", ("main", "2", "1Gi"))]


def test_pods_are_summed_and_rounded_as_kubectl_does() -> None:
    assert top.pod_rows(PODS, containers=False, namespaces=False) == [["a", "2000m", "1024Mi"], ["b", "252m", "64Mi"]]


def test_containers_have_lines_of_their_own() -> None:
    assert top.pod_rows(PODS, containers=True, namespaces=True) == [
        ["default", "a", "main", "2000m", "1024Mi"],
        ["default", "b", "main", "250m", "64Mi"],
        ["default", "b", "side", "2m", "0Mi"],
    ]


def test_nodes_show_shares_of_what_pods_may_have() -> None:
    measured = [{"metadata": {"name": name}, "usage": {"cpu": cpu, "memory": "2Gi"}} for name, cpu in (("idle", "10m"), ("busy", "1500m"))]
    nodes = [{"metadata": {"name": "busy"}, "status": {"allocatable": {"cpu": "2", "memory": "8Gi"}}}]
    assert top.node_rows(measured, nodes) == [
        ["busy", "1500m", "75%", "2048Mi", "25%"],
        ["idle", "10m", "<unknown>", "2048Mi", "<unknown>"],
    ]
