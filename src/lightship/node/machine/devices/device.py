"""One accelerator of this machine, or one that only pretends: what it is called, what it is, which files of /dev belong to it.

Made by `finding`, told to the cluster by `slices`, handed out by `ledger`, shown to containers by `own`. Plain values, nothing performed.
Contract: attribute names of NVIDIA's and AMD's own DRA drivers, so that selectors written for those choose ours too.
"""

from typing import NamedTuple

import msgspec

from lightship.meta.objects import Obj

DRIVER = "gpu.lightship.dev"
"""Our own DRA driver, and the DeviceClass of everything that it offers, whoever made it."""


class Vendor(NamedTuple):
    """What the world calls the accelerators of one maker."""

    resource: str
    """The extended resource."""
    device_class: str
    """The maker's own DRA driver, its DeviceClass and the domain of its attributes: all three have one name."""
    visible: tuple[str, ...]
    """Variables that list the numbers of the devices that a program may use."""
    listing: tuple[str, ...]
    """Variables that list their identities, for programs that ask."""
    shared: tuple[str, ...]
    """Files that every holder of a device needs besides the device's own."""


VENDORS = {
    "nvidia.com": Vendor(
        resource="nvidia.com/gpu",
        device_class="gpu.nvidia.com",
        visible=("CUDA_VISIBLE_DEVICES",),
        listing=("NVIDIA_VISIBLE_DEVICES",),
        shared=("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"),
    ),
    "amd.com": Vendor(
        resource="amd.com/gpu",
        device_class="gpu.amd.com",
        visible=("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
        listing=(),
        shared=("/dev/kfd",),
    ),
}


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One device of this node."""

    name: str
    """As in the ResourceSlice: `gpu-0`."""
    vendor: str = "nvidia.com"
    """A key of `VENDORS`."""
    index: int = 0
    """Its number among those of its maker, as programs count them."""
    uuid: str = ""
    files: list[str] = []
    """What of /dev is its own."""
    attributes: dict[str, Obj] = {}
    """As in a ResourceSlice; those of the maker's without their domain."""
    memory: int = 0
    """Bytes; 0 where nobody told."""
    simulated: bool = False

    @property
    def resource(self) -> str:
        return VENDORS[self.vendor].resource


def environment(held: list[Device], *, renumbered: bool) -> dict[str, str]:
    """Variables that tell a program which devices are its own. `renumbered`: it sees no others, and so counts them from 0."""
    told: dict[str, str] = {}
    for key, vendor in VENDORS.items():
        mine = [d for d in held if d.vendor == key]
        numbers = ",".join(str(number if renumbered else device.index) for number, device in enumerate(mine))
        if mine:
            told |= dict.fromkeys(vendor.visible, numbers)
            told |= dict.fromkeys(vendor.listing, ",".join(d.uuid or str(d.index) for d in mine))
    return told


def nothing_visible(devices: list[Device]) -> dict[str, str]:
    """Variables for a program that was given none, on a machine where it could reach them all the same."""
    return {name: "" for d in devices if not d.simulated for name in VENDORS[d.vendor].visible}
