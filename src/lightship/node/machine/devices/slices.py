"""What the cluster is told of a node's devices: a ResourceSlice, and the DeviceClasses that people's manifests name.

Pure; `publishing` writes them. Attributes have their maker's domain, so that `device.attributes["gpu.nvidia.com"].productName` means here
what it means with NVIDIA's own driver. Contract: resource.k8s.io/v1; classes are made where they are missing and left to whoever has them.
"""

from collections.abc import Iterable

from lightship.meta.objects import Obj

from .device import DRIVER, VENDORS, Device


def resource_slice(node: str, owner: str, devices: Iterable[Device], generation: int) -> Obj:
    """All devices of a node that may be claimed. `owner` is the uid of the Node, with which it goes."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {
            "name": f"{node}-{DRIVER}",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": owner, "controller": True}],
        },
        "spec": {
            "driver": DRIVER,
            "nodeName": node,
            "pool": {"name": node, "generation": generation, "resourceSliceCount": 1},
            "devices": [_device(device) for device in devices],
        },
    }


def _device(device: Device) -> Obj:
    domain = VENDORS[device.vendor].device_class
    attributes = {name if "/" in name else f"{domain}/{name}": value for name, value in device.attributes.items()}
    attributes["simulated"] = {"bool": device.simulated}
    told: Obj = {"name": device.name, "attributes": attributes}
    if device.memory:
        told["capacity"] = {f"{domain}/memory": {"value": _amount(device.memory)}}
    return told


def _amount(size: int) -> str:
    return f"{size // 2**30}Gi" if size % 2**30 == 0 else f"{size // 2**20}Mi"


def device_classes() -> list[Obj]:
    """One of all that we offer, and one for each maker, which chooses their own driver's devices as well as ours."""
    ours = f'device.driver == "{DRIVER}"'
    found = [_device_class(DRIVER, ours)]
    for vendor in VENDORS.values():
        name = vendor.device_class
        gpu = f'has(device.attributes["{name}"].type) && device.attributes["{name}"].type == "gpu"'
        found.append(_device_class(name, f'(device.driver == "{name}" || {ours}) && {gpu}'))
    return found


def _device_class(name: str, expression: str) -> Obj:
    spec = {"selectors": [{"cel": {"expression": expression}}]}
    return {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": name}, "spec": spec}
