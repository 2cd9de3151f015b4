"""From the words of `lightship train SCRIPT` to a TrainJob: which runtime, which program, which resources.

Called by `run`. Pure. The TrainJob is one that the SDK could have sent: additions are runtime patches and annotations.
Contract: Trainer 2.3 TrainJob; the commands of SDK 0.5 (`torchrun` for torch, `mpirun` for MPI, `python` else).
"""

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightship.cli.errors import CliError
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.train.api import (
    ANCESTOR_LABEL,
    CLUSTER_TRAINING_RUNTIMES,
    FRAMEWORK_LABEL,
    GROUP,
    NODE,
    SUPPORT_LABEL,
    TRAIN_JOBS,
    TRAINER,
    names,
    runs,
)
from lightship.train.api.names import API_VERSION, DEPRECATED
from lightship.train.shipping.parcel import VARIABLES, Parcel, inside

REQUIREMENTS = "lightship.dev/requirements"
"""Annotation of pods: packages besides those of their image (docs/images.md)."""
DEFAULT_FRAMEWORK = "torch"
WISHES = {
    "checkpoint": names.CHECKPOINT,
    "min_nodes": names.MIN_NODES,
    "max_nodes": names.MAX_NODES,
    "max_restarts": names.MAX_RESTARTS,
    "ttl": runs.TTL,
    "priority": runs.PRIORITY_CLASS,
}
"""Option → annotation of the TrainJob."""
_OURS = "lightship.dev/"
KNOWN = sorted({name for room in (names, runs) for name in vars(room).values() if isinstance(name, str) and name.startswith(_OURS)})
"""Names of ours that mean something; nobody would notice one that is mistyped."""
GUESSED = ("torch", "deepspeed", "jax", "xgboost", "tensorflow", "mlx", "mpi4py", "transformers", "flax", "keras")
"""What a script may import by which its framework is guessed, the most telling first."""
_MPI = "mpi"
"""No framework of a shipped runtime: any that starts its program by `mpirun` will do."""
_MEANS = {"transformers": "torch", "flax": "jax", "keras": "tensorflow", "mpi4py": _MPI}
_OWN_PROGRAM = ("torchtune",)
"""Frameworks whose runtimes bring the program themselves."""
_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
"""Contract: TrainJob's own rule, an RFC 1035 label."""
_LIKE = {"cpu": "2, or 500m for half a processor", "memory": "4Gi, or 512Mi"}
_MPI_HOSTS = "/etc/mpi/hostfile"


def guess_framework(imports: Iterable[str]) -> str:
    """The framework of a script by what it imports."""
    there = set(imports)
    if "deepspeed" in there:
        return "deepspeed"
    return next((_MEANS.get(name, name) for name in GUESSED if name in there), DEFAULT_FRAMEWORK)


def choose_runtime(runtimes: Sequence[Obj], *, name: str, framework: str) -> Obj:
    """The runtime of this name, or the first choice for the framework: `<framework>-distributed` before others, so that a runtime made for
    something else changes nothing for scripts, and the namespace's before the cluster's. Raises `CliError`."""
    if name:
        found = [runtime for runtime in runtimes if objects.name(runtime) == name]
        if not found:
            raise CliError(f'there is no runtime "{name}"', hint=_known(runtimes))
    else:
        found = [runtime for runtime in runtimes if objects.labels(runtime).get(FRAMEWORK_LABEL) == framework]
        if not found and framework == _MPI:
            found = [runtime for runtime in runtimes if _is_mpi(runtime)]
        if not found:
            raise CliError(f'no runtime is for the framework "{framework}"', hint=_known(runtimes))
    runtime = min(found, key=lambda one: _preference(one, framework))
    label = objects.labels(runtime).get(FRAMEWORK_LABEL, "")
    if label in _OWN_PROGRAM:
        raise CliError(f"runtime {objects.name(runtime)} brings its own program and runs no scripts", hint="use --framework torch")
    return runtime


def _preference(runtime: Obj, framework: str) -> tuple[bool, bool, bool, str]:
    deprecated = objects.labels(runtime).get(SUPPORT_LABEL) == DEPRECATED
    wide = runtime.get("kind") == CLUSTER_TRAINING_RUNTIMES.kind
    return deprecated, objects.name(runtime) != f"{framework}-distributed", wide, objects.name(runtime)


def _known(runtimes: Sequence[Obj]) -> str:
    listed = sorted(f"{objects.name(r)} ({objects.labels(r).get(FRAMEWORK_LABEL, 'no framework')})" for r in runtimes)
    return f"there are {', '.join(listed)}" if listed else "there are none at all; lightship up ships some"


def job_name(script: str) -> str:
    """What jobs of a script are called, before a suffix of their own: letters, digits and dashes, short enough for names of pods."""
    words = re.sub(r"[^a-z0-9]+", "-", Path(script).stem.lower()).strip("-")[:32].strip("-")
    return words if words[:1].isalpha() else f"job-{words}".rstrip("-")


def check_name(name: str) -> None:
    """Before anything is made by that name; none is one of ours. Raises `CliError`."""
    if name and not _NAME.fullmatch(name):
        said = f"--name {name}: a job is called by small letters, digits and dashes, a letter first, 63 at most"
        raise CliError(said, hint=f"--name {job_name(name)}", code=2)


def program(runtime: Obj, script: str, *, module: bool, args: Sequence[str], shipped: bool) -> list[str]:
    """The command of the `node` container."""
    python = ["-m", script] if module else [script]
    if _is_mpi(runtime):
        mine = ["python", *python, *args] if module or script.endswith(".py") else ["sh", script, *args]
        return ["mpirun", "--hostfile", _MPI_HOSTS, *(inside(mine, spelled_out=True) if shipped else mine)]
    if not module and not script.endswith(".py"):
        mine = ["bash" if script.endswith(".bash") else "sh", script, *args]
    elif "torch" in _policy(runtime):
        mine = ["torchrun", *python, *args]
    else:
        mine = ["python", *python, *args]
    return inside(mine) if shipped else mine


def step_jobs(runtime: Obj) -> list[str]:
    """The replicated jobs that run the program: the trainer's, and for MPI the workers'."""
    listed = objects.get_path(runtime, "spec", "template", "spec", "replicatedJobs") or []
    return [job["name"] for job in listed if _step(job) == TRAINER or (job["name"] == NODE and _has_node(job))]


def trainjob(args: argparse.Namespace, runtime: Obj, name: str, namespace: str, command: list[str], parcel: Parcel | None) -> Obj:
    """The TrainJob for all that was asked. Raises `CliError` for options that make no sense."""
    trainer: Obj = {"command": command}
    if args.image:
        trainer["image"] = args.image
    if args.nodes is not None:
        trainer["numNodes"] = args.nodes
    if args.procs is not None:
        trainer["numProcPerNode"] = args.procs
    if resources := _resources(args):
        trainer["resourcesPerNode"] = resources
    packages = ", ".join(args.packages)
    trainer["env"] = [{"name": key, "value": value} for key, value in _environment(args.env, packages, parcel).items()]
    patches = [parcel.patch] if parcel is not None else []
    if packages:
        patches.append(_annotated(step_jobs(runtime), {REQUIREMENTS: packages}))
    said = pairs(args.annotation, "--annotation")
    for key in sorted(said):
        if key.startswith(_OURS) and key not in KNOWN:
            raise CliError(f"--annotation {key}: there is no such annotation of ours", hint=f"there are {', '.join(KNOWN)}", code=2)
    annotations = {**(parcel.annotations if parcel is not None else {}), **_wishes(args), **said}
    metadata: Obj = {"name": name, "namespace": namespace, **({"annotations": annotations} if annotations else {})}
    ref = {"name": objects.name(runtime), "apiGroup": GROUP, "kind": runtime["kind"]}
    spec: Obj = {"runtimeRef": ref, "trainer": trainer, **({"runtimePatches": patches} if patches else {})}
    return {"apiVersion": API_VERSION, "kind": TRAIN_JOBS.kind, "metadata": metadata, "spec": spec}


def pairs(words: Iterable[str], option: str, *, inherit: bool = False) -> dict[str, str]:
    """`K=V` words as a mapping; with `inherit`, a bare `K` takes our own environment's. Raises `CliError`."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not (equals or inherit):
            raise CliError(f"{option} {word}: expected KEY=VALUE, like `{option} EPOCHS=3`", code=2)
        if not equals and key not in os.environ:
            raise CliError(f"{option} {key}: there is no variable {key} here to take the value of", hint=f"{option} {key}=VALUE", code=2)
        found[key] = value if equals else os.environ[key]
    return found


def _environment(words: Sequence[str], packages: str, parcel: Parcel | None) -> dict[str, str]:
    """Output is not held back, so that logs are live; what the user says comes last."""
    found = {"PYTHONUNBUFFERED": "1", **(VARIABLES if parcel is not None else {})}
    if packages and parcel is not None:
        # Commas divide packages, except before another bound of the same one (`httpx>=0.27,<1`).
        listed = [re.sub(r"\s", "", word) for word in re.split(r",\s*(?![<>=!~\s])|\n", packages)]
        found["LIGHTSHIP_PACKAGES"] = " ".join(word for word in listed if word)
    return {**found, **pairs(words, "--env", inherit=True)}


def _wishes(args: argparse.Namespace) -> dict[str, str]:
    """What has an option of its own and an annotation that says it."""
    return {name: str(value) for option, name in WISHES.items() if (value := getattr(args, option)) is not None}


def _resources(args: argparse.Namespace) -> Obj:
    asked = {"cpu": args.cpu, "memory": args.memory, "nvidia.com/gpu": None if args.gpus is None else str(args.gpus)}
    amounts = {name: amount for name, amount in asked.items() if amount is not None}
    for name, amount in amounts.items():
        try:
            quantity.parse(amount)
        except ValueError:
            raise CliError(f"--{name} {amount} is no amount", hint=f"--{name} {_LIKE[name]}", code=2) from None
    return {"requests": amounts, "limits": dict(amounts)} if amounts else {}


def _annotated(jobs: Sequence[str], annotations: dict[str, str]) -> Obj:
    """A runtime patch that annotates the pods of replicated jobs."""
    template = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    listed = [{"name": name, "template": template} for name in jobs]
    return {"manager": REQUIREMENTS, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": listed}}}}


def _policy(runtime: Obj) -> Obj:
    return objects.spec(runtime).get("mlPolicy") or {}


def _is_mpi(runtime: Obj) -> bool:
    return "mpi" in _policy(runtime)


def _step(job: Obj) -> str:
    return str((objects.get_path(job, "template", "metadata", "labels") or {}).get(ANCESTOR_LABEL, ""))


def _has_node(job: Obj) -> bool:
    containers = objects.get_path(job, "template", "spec", "template", "spec", "containers") or []
    return any(container.get("name") == NODE for container in containers)
