"""`ship`: an option of the official SDK by which a training function can import modules of yours.

    from lightship.train.shipping import ship

    TrainerClient().train(trainer=CustomTrainer(func=train, num_nodes=2), options=[ship(".")])

The SDK sends a function's source and nothing else. The option sends a folder along: it writes the ConfigMaps when the SDK applies it, names
the job where nobody has, mounts them by a runtime patch, and makes bash unpack them before the function runs. Imports nothing of the SDK.
"""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from lightship.train.api import NODE

from . import folder
from .errors import ShippingError
from .parcel import PARTS, UNPACK, VARIABLES, parcel

Option: TypeAlias = Callable[[dict[str, Any], Any, Any], None]
_ALREADY_THERE = 409


def ship(path: str | Path = ".", *, exclude: Sequence[str] = (), include: Sequence[str] = (), jobs: Sequence[str] = (NODE,)) -> Option:
    """An option for `TrainerClient.train`: the files below `path` travel with the job, and its function can import from them.

    `.gitignore` and `.lightshipignore` hold; `exclude` are more patterns, `include` glob patterns of what travels all the same. `jobs` are
    the replicated jobs of the runtime that get the files (MPI runtimes: `("launcher", "node")`). The environment variable
    `LIGHTSHIP_WORKSPACE` in the pods says where the files are. Raises `ShippingError` for a folder that cannot travel.
    """
    archive = folder.pack(folder.find(Path(path), exclude=exclude, include=include).files)

    def option(job_spec: dict[str, Any], trainer: Any, backend: Any) -> None:
        if not hasattr(backend, "core_api") or not hasattr(backend, "namespace"):
            raise ShippingError(f"ship works with the SDK's Kubernetes backend, not with {type(backend).__name__}")
        if not hasattr(trainer, "env"):
            raise ShippingError(f"ship is for a CustomTrainer: a {type(trainer).__name__} runs no code of yours")
        metadata = job_spec.setdefault("metadata", {})
        name = metadata.setdefault("name", f"j{uuid.uuid4().hex[:11]}")
        sent = parcel(archive, name, backend.namespace, jobs)
        for config_map in sent.config_maps:
            _create(backend.core_api, backend.namespace, config_map)
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **sent.annotations}
        job_spec.setdefault("spec", {}).setdefault("runtimePatches", []).append(sent.patch)
        trainer.env = {**VARIABLES, "BASH_ENV": f"{PARTS}/{UNPACK}", **(trainer.env or {})}

    return option


def _create(core: Any, namespace: str, config_map: dict[str, Any]) -> None:
    """Create it; one that is there already was left by a submission that failed behind it, with the same content by its name."""
    try:
        core.create_namespaced_config_map(namespace, config_map)
    except Exception as error:  # the client's ApiException, which is not ours to import
        if getattr(error, "status", None) != _ALREADY_THERE:
            raise
