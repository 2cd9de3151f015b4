"""The host side of a sandbox: directories, and the files that go over those in /etc.

`sandbox` calls it around what `launch` does inside, `engine` for the files alone. Where things are is `layout`'s to say.
"""

import asyncio

from lightship.node.network import facts as network

from . import layout
from .runtime import ContainerSpec, SandboxSpec


def furnish(spec: SandboxSpec, address: str) -> None:
    """The host side of a sandbox: mount points and the files that go over those in /etc."""
    where = layout.places(spec)
    for path in (where.root, where.shm, where.etc, where.processes):
        path.mkdir(parents=True, exist_ok=True)
    where.base.chmod(0o700)  # a pod of root's may leave set-uid programs there: nobody else shall reach them
    write_etc(spec, address)
    (where.etc / "nsswitch.conf").write_text(layout.NSSWITCH)


def write_etc(spec: SandboxSpec, address: str, *, resolves: bool = True) -> None:
    """Files of a pod in /etc; `resolves`: there is a name server of the cluster. Raises `OSError`."""
    where, name = layout.places(spec), layout.hostname(spec)
    where.etc.mkdir(parents=True, exist_ok=True)
    (where.etc / "hosts").write_text(network.hosts_file(address, name, spec.hosts, domain=spec.domain, host_network=spec.host_network))
    (where.etc / "hostname").write_text(name + "\n")
    if resolves or spec.resolv_conf:
        (where.etc / "resolv.conf").write_text(spec.resolv_conf or network.resolv_conf(spec.namespace))


async def clear_scratch(spec: ContainerSpec, where: layout.Places) -> None:
    """What the last run of a container has written."""
    scratch = where.scratch(spec.name)
    if scratch.exists():
        await asyncio.to_thread(layout.remove_tree, scratch)
