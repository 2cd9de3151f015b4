"""What a device plugin answers to Allocate: variables, files, devices and CDI names for one container. Pure; `counted` keeps it."""

import msgspec

from lightship.node.runtimes.runtime import Mount

from . import protobuf


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the machine's that the container sees."""

    source: str
    target: str
    read_only: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """For one container. Annotations are for container engines: there is none."""

    env: dict[str, str] = {}
    shown: list[Shown] = []
    cdi: list[str] = []

    def mounts(self) -> list[Mount]:
        return [Mount(source=s.source, target=s.target, read_only=s.read_only) for s in self.shown]


def read(message: bytes) -> Answer:
    """The answer for the one container that was asked about. Raises `WireError`."""
    containers = protobuf.messages(protobuf.parse(message), 1)
    if not containers:
        raise protobuf.WireError("no containers return in allocation response")
    fields = protobuf.parse(containers[0])
    env = {name: value.decode(errors="replace") for name, value in protobuf.mapping(fields, 1).items()}
    shown = []
    for raw in protobuf.messages(fields, 2):
        mount = protobuf.parse(raw)
        source, target = protobuf.text(mount, 2), protobuf.text(mount, 1)
        shown.append(Shown(source=source, target=target, read_only=bool(protobuf.integer(mount, 3))))
    for raw in protobuf.messages(fields, 3):
        device = protobuf.parse(raw)
        # A device that may not be written is one of the cgroup's concerns; its file is what it is.
        shown.append(Shown(source=protobuf.text(device, 2), target=protobuf.text(device, 1)))
    cdi = [protobuf.text(protobuf.parse(raw), 1) for raw in protobuf.messages(fields, 5)]
    return Answer(env=env, shown=shown, cdi=cdi)
