"""How files travel: the archive in ConfigMaps, mounted into every pod of the trainer, unpacked before the program starts.

Called by the command line and by `ship`. Pure. Nothing of it needs this platform: upstream's controllers, a kubelet and an image with `sh`,
`tar` and `gzip` carry it out. The ConfigMaps cannot change and belong to the TrainJob, so that they go with it.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lightship.meta.objects import Obj
from lightship.train.api import NODE
from lightship.train.api.names import WORKSPACE

PART = 1_000_000
"""Bytes of the archive in one ConfigMap: with the names of its keys and the program below Kubernetes' limit of a mebibyte."""
MANAGER = WORKSPACE
"""Whose runtime patch it is."""
PARTS, WORK = "/lightship/parts", "/lightship/workspace"
UNPACK = "unpack.sh"
WORKSPACE_VARIABLE, PARTS_VARIABLE = "LIGHTSHIP_WORKSPACE", "LIGHTSHIP_PARTS"
VARIABLES = {PARTS_VARIABLE: PARTS, WORKSPACE_VARIABLE: f"{WORK}/files"}
"""What `unpack.sh` goes by. `LIGHTSHIP_WORKSPACE` is the working directory of the program."""
_ENTER = f'. "${PARTS_VARIABLE}/{UNPACK}" && cd "${WORKSPACE_VARIABLE}" && exec "$@"'
_PROGRAM = Path(__file__).parent.parent / "runtime" / UNPACK


class Parcel(NamedTuple):
    config_maps: list[Obj]
    patch: Obj
    """For the TrainJob's `spec.runtimePatches`."""
    annotations: dict[str, str]
    """For the TrainJob."""


def parcel(archive: bytes, job: str, namespace: str, replicated_jobs: Sequence[str] = (NODE,)) -> Parcel:
    """The objects by which `archive` gets into the `node` containers of these replicated jobs."""
    digest = hashlib.sha256(archive).hexdigest()
    parts = [archive[at : at + PART] for at in range(0, len(archive), PART)]
    maps = [_config_map(part, number, f"{job}-workspace-{digest[:8]}-{number}", namespace) for number, part in enumerate(parts)]
    names = [config_map["metadata"]["name"] for config_map in maps]
    return Parcel(maps, _patch(names, replicated_jobs), {WORKSPACE: ",".join(names)})


def inside(program: Sequence[str], *, spelled_out: bool = False) -> list[str]:
    """The command that unpacks the files and runs `program` among them. `spelled_out`: with the variables, for programs that are started
    by others than the container (`mpirun`) and do not have its environment."""
    variables = ["env", *(f"{name}={value}" for name, value in VARIABLES.items())] if spelled_out else []
    return [*variables, "sh", "-c", _ENTER, "sh", *program]


def _config_map(part: bytes, number: int, name: str, namespace: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "immutable": True,
        "binaryData": {f"part-{number:02d}": b64encode(part).decode()},
        **({"data": {UNPACK: _PROGRAM.read_text()}} if number == 0 else {}),
    }


def _patch(names: Sequence[str], replicated_jobs: Sequence[str]) -> Obj:
    sources = [{"configMap": {"name": name}} for name in names]
    volumes = [{"name": "lightship-parts", "projected": {"sources": sources}}, {"name": "lightship-workspace", "emptyDir": {}}]
    mounts = [
        {"name": "lightship-parts", "mountPath": PARTS, "readOnly": True},
        {"name": "lightship-workspace", "mountPath": WORK},
    ]
    pod = {"volumes": volumes, "containers": [{"name": NODE, "volumeMounts": mounts}]}
    listed = [{"name": name, "template": {"spec": {"template": {"spec": pod}}}} for name in replicated_jobs]
    return {"manager": MANAGER, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": listed}}}}
