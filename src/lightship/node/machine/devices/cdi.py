"""Container Device Interface: what the files that vendors' drivers write say about a device, as edits of a container.

`desk` asks for devices by their full names, `vendor/class=name`. Files are read anew each time: a driver writes one right before it
names the device. Contract: CDI specification 1.1, kinds of edits env, deviceNodes, mounts and additionalGIDs. Hooks, netDevices and
intelRdt are left out and logged: our containers see the machine's own libraries, which is what the usual hooks (`update-ldcache`) are for.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import Mount

from . import edits
from .edits import Edits

log = logging.getLogger(__name__)

SYSTEM = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Later ones win."""
_LEFT_OUT = ("hooks", "netDevices", "intelRdt")


class CdiError(Exception):
    """A device cannot be injected; in the words of container runtimes."""


def resolve(names: Sequence[str], directories: Iterable[Path]) -> Edits:
    """What these devices change together. Raises `CdiError` when one is not to be found or cannot be understood."""
    if not names:
        return edits.NOTHING
    specs = list(_specs(directories))
    found: list[Edits] = []
    seen: set[int] = set()
    missing = []
    for name in names:
        kind, _, device = name.partition("=")
        match = next(((s, d) for s in reversed(specs) if s["kind"] == kind for d in s["devices"] if d.get("name") == device), None)
        if match is None:
            missing.append(name)
            continue
        spec, entry = match
        if id(spec) not in seen:
            seen.add(id(spec))
            found.append(_edits(name, spec.get("containerEdits") or {}))
        found.append(_edits(name, entry.get("containerEdits") or {}))
    if missing:
        raise CdiError(f"failed to inject CDI devices: unresolvable CDI devices {', '.join(missing)}")
    return edits.joined(found)


def _specs(directories: Iterable[Path]) -> Iterator[Obj]:
    for directory in directories:
        for path in sorted([*directory.glob("*.json"), *directory.glob("*.yaml")]):
            try:
                text = path.read_text()
                spec = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
            except (OSError, ValueError, yaml.YAMLError) as error:
                log.warning("a CDI file cannot be read path=%s error=%s", path, error)
                continue
            if isinstance(spec, dict) and isinstance(spec.get("kind"), str) and isinstance(spec.get("devices"), list):
                yield spec
            else:
                log.warning("a CDI file has no kind or no devices path=%s", path)


def _edits(name: str, body: Obj) -> Edits:
    for key in _LEFT_OUT:
        if body.get(key):
            log.warning("CDI %s are not performed device=%s", key, name)
    env = dict(entry.partition("=")[::2] for entry in body.get("env") or ())
    mounts = [_node(name, node) for node in body.get("deviceNodes") or ()]
    for mount in body.get("mounts") or ():
        read_only = "ro" in (mount.get("options") or ())
        mounts.append(Mount(source=mount["hostPath"], target=mount["containerPath"], read_only=read_only, name=name))
    return Edits(env=env, mounts=mounts, groups=[int(gid) for gid in body.get("additionalGIDs") or () if gid])


def _node(name: str, node: Obj) -> Mount:
    """The machine's own file of a device: none is made."""
    source = node.get("hostPath") or node.get("path") or ""
    if not Path(source).exists():
        raise CdiError(f"failed to inject CDI devices: {name}: failed to stat CDI host device {source!r}: no such file or directory")
    return Mount(source=source, target=node["path"], name=name)
