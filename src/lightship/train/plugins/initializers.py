"""Initializers that read from a claim: the pod of one whose URI is `pvc://claim/path` mounts that claim, read-only.

Upstream knows no such scheme, so nothing of its contract changes. The claim is one of the TrainJob's namespace; the initializer copies what
is at the path, and the variable LIGHTSHIP_CLAIM tells it where to look (`runtime.initializers.sources.local`).
"""

from collections.abc import Iterator

from lightship.meta import names as naming
from lightship.meta.errors import Cause, invalid_value
from lightship.meta.objects import Obj
from lightship.train.api import DATASET_INITIALIZER, MODEL_INITIALIZER
from lightship.train.api.names import CLAIM_SCHEME, INITIALIZER_CLAIM, INITIALIZER_CLAIM_PATH, INITIALIZER_CLAIM_VOLUME

from .plan import Plan, PodSet, env, upsert

_STEPS = (("dataset", DATASET_INITIALIZER), ("model", MODEL_INITIALIZER))


class Initializers:
    name = "Initializers"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        for part, _ in _STEPS:
            uri = _asked(plan, part)
            problem = naming.check_name(_claim(uri), "subdomain") if uri.startswith(CLAIM_SCHEME) else ""
            if problem:
                yield invalid_value(f"spec.initializer.{part}.storageUri", uri, f"must name a claim, pvc://claim/path: {problem}")

    def enforce_pod_spec(self, plan: Plan) -> None:
        for part, step in _STEPS:
            for pods in plan.pod_sets:
                container = pods.container(step) if pods.ancestor == step else None
                uri = (_asked(plan, part) or _said(container)) if container else ""
                if container and uri.startswith(CLAIM_SCHEME):
                    _mount(pods, container, _claim(uri))


def _mount(pods: PodSet, container: Obj, claim: str) -> None:
    volume = {"name": INITIALIZER_CLAIM_VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    upsert(pods.pod, "volumes", [volume])
    upsert(
        container, "volumeMounts", [{"name": INITIALIZER_CLAIM_VOLUME, "mountPath": INITIALIZER_CLAIM_PATH, "readOnly": True}], "mountPath"
    )
    upsert(container, "env", [env(INITIALIZER_CLAIM, INITIALIZER_CLAIM_PATH)])


def _asked(plan: Plan, part: str) -> str:
    asked = (plan.job["spec"].get("initializer") or {}).get(part) or {}
    return str(asked.get("storageUri") or "")


def _said(container: Obj) -> str:
    """What the runtime itself says."""
    return next((str(e.get("value") or "") for e in container.get("env") or () if e.get("name") == "STORAGE_URI"), "")


def _claim(uri: str) -> str:
    return uri.removeprefix(CLAIM_SCHEME).partition("/")[0]
