"""`lightship devices`, as pure rows."""

from lightship.cli import devices
from lightship.cli.devices import Row


def test_who_has_what_by_claim() -> None:
    attributes = {"gpu.nvidia.com/productName": {"string": "H100"}}
    gpus = [{"name": "gpu-0", "attributes": attributes, "capacity": {"gpu.nvidia.com/memory": {"value": "80Gi"}}}, {"name": "gpu-1"}]
    told = {"spec": {"driver": "gpu.example.com", "nodeName": "n", "pool": {"name": "p"}, "devices": [*gpus, {"name": "gpu-2"}]}}

    def claim(name: str, device: str, *pods: str) -> dict[str, object]:
        result = {"driver": "gpu.example.com", "pool": "p", "device": device, "request": "r"}
        reserved = [{"name": pod} for pod in pods]
        status = {"allocation": {"devices": {"results": [result]}}, "reservedFor": reserved}
        return {"metadata": {"name": name, "namespace": "default"}, "status": status}

    rows = list(devices.claimable([told], [claim("a", "gpu-0", "y", "x"), claim("b", "gpu-1"), {"metadata": {"name": "c"}}]))
    assert rows == [
        Row("n", "gpu-0", "gpu.example.com", "H100", "80Gi", "default/x, default/y"),
        Row("n", "gpu-1", "gpu.example.com", "", "", "claim default/b"),
        Row("n", "gpu-2", "gpu.example.com", "", "", "<none>"),
    ]


def test_who_has_what_by_number() -> None:
    given = [
        {"name": "nvidia.com/gpu", "resources": [{"resourceID": "GPU-1"}]},
        {"name": "claim:g", "resources": [{"resourceID": "x"}]},
    ]
    statuses = [{"name": "main", "allocatedResourcesStatus": given}]
    pods = [
        {
            "metadata": {"name": phase.lower(), "namespace": "default"},
            "spec": {"nodeName": "n"},
            "status": {"phase": phase, "containerStatuses": statuses},
        }
        for phase in ("Running", "Succeeded")
    ]
    assert list(devices.counted(pods)) == [Row("n", "GPU-1", "nvidia.com/gpu", "", "", "default/running")]
