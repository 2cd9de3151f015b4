"""Tries, in a process that is thrown away, everything a sandbox is made of, and prints as JSON what did not work.

Started by `runtimes.probe` in an isolated interpreter. Each step is tried for real, since no setting tells reliably what a kernel, a
container engine and a security module together allow. The answer maps an ability to the words of the refusal; empty: all is well.
"""

import json
import os
import sys
from collections.abc import Callable

from . import linux, rootfs
from .netlink import Netlink, mac_of

_BARE = {"image": "", "layers": "", "private": [], "owner": None, "user": [0, 0, "/"]}


def main() -> None:
    """Print the refusals. Later abilities need earlier ones, so the first refusal ends the trial."""
    steps = (
        ("user_namespaces", _user),
        ("network_namespaces", _network),
        ("mount_namespaces", _in_child(_mounts)),
    )
    refused: dict[str, str] = {}
    for name, step in steps:
        try:
            step()
        except OSError as error:
            refused[name] = linux.explain(error)
            break
    json.dump(refused, sys.stdout)


def _user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.NEW_USER | linux.NEW_NS | linux.NEW_NET | linux.NEW_PID)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _network() -> None:
    with Netlink() as net:
        net.set_up(net.index("lo"))
        net.add_veth("probe0", mac_of("10.0.0.1"), "probe1", mac_of("10.0.0.2"), peer_pid=os.getpid())
        net.accept_everything(net.index("lo"))


def _mounts() -> None:
    stage = "/tmp" if os.path.isdir("/tmp") else "/mnt"
    linux.make_private("/")
    linux.mount("tmpfs", stage, "tmpfs", 0, "mode=755")
    shm = stage + "/shm"
    os.mkdir(shm)
    system = [path for path in ("/usr", "/etc") if os.path.isdir(path) and not os.path.islink(path)]
    root = stage + "/root"
    os.mkdir(root)
    mount = {"source": "/etc", "target": "/usr/a-place-that-is-not-there/etc", "read_only": True, "layer": "", "size": None, "sub_path": ""}
    plan = {"stage": root, "shm": shm, "directories": [], "groups": {}, "links": {}, "system": system, "mounts": [mount]}
    rootfs.enter(plan | {"all_processes": "", "privileged": False, "unmasked": False, "read_only": False} | _BARE)
    linux.bound_capabilities(())
    linux.hold_capabilities(())


def _in_child(step: Callable[[], None]) -> Callable[[], None]:
    """The step in a process of its own: the first one of a new process namespace, which /proc wants."""

    def run() -> None:
        read, write = os.pipe()
        if os.fork() == 0:
            try:
                step()
            except OSError as error:
                os.write(write, linux.explain(error).encode())
            finally:
                os._exit(0)
        os.close(write)
        os.wait()
        refusal = os.read(read, 4096)
        if refusal:
            raise OSError(refusal.decode())

    return run
