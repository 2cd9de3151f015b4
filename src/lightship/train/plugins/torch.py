"""PyTorch: the environment that torchrun reads (PET_*), so that all nodes of a TrainJob find the first one.

Injected into the trainer's `node` container when the TrainJob has a `spec.trainer`, and into the containers that the runtime's
`envInjection` names. The BuiltinTrainer's command finds its first node by an option instead, which `torchtune` adds.
Contract: Trainer 2.3 torch plugin; torchrun's PET_ variables.
"""

from collections.abc import Iterator

from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.train import resources
from lightship.train.api.causes import rejected
from lightship.train.api.names import COMPLETION_INDEX_PATH, TRAINER_PORT
from lightship.train.errors import PlanError

from . import torchtune
from .plan import Plan, env, env_from_field, upsert

RESERVED = ("PET_MASTER_ADDR", "PET_MASTER_PORT", "PET_NNODES", "PET_NODE_RANK", "PET_NPROC_PER_NODE")


class Torch:
    name = "Torch"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        if plan.source != "torch":
            return
        for job, container, target in _targets(plan):
            if _find(plan, job, container) is None:
                yield rejected("spec.runtimeRef", target, _not_there(job, container))
        listed = (plan.trainer_spec or {}).get("env") or []
        taken = sorted({e["name"] for e in listed} & set(RESERVED))
        if taken:
            message = f"must not have reserved envs, invalid envs configured: [{' '.join(taken)}]"
            yield rejected("spec.trainer.env", listed, message)

    def enforce_ml_policy(self, plan: Plan) -> None:
        if plan.source != "torch":
            return
        variables = _variables(plan, plan.take_nodes())
        trainer, container = plan.trainer_spec, plan.trainer_container
        if trainer is not None and container is not None:
            upsert(container, "env", trainer.get("env") or ())
            upsert(container, "env", variables[:-2] if torchtune.drives(plan) else variables)
            upsert(container, "ports", [{"containerPort": TRAINER_PORT}], key="containerPort")
        for job, name, _ in _targets(plan):
            found = _find(plan, job, name)
            if found is None:
                raise PlanError(_not_there(job, name))
            upsert(found, "env", variables)


def _variables(plan: Plan, nodes: int) -> list[Obj]:
    return [
        env("PET_NNODES", nodes),
        env("PET_NPROC_PER_NODE", _processes(plan)),
        env_from_field("PET_NODE_RANK", COMPLETION_INDEX_PATH),
        env("PET_MASTER_ADDR", plan.master),
        env("PET_MASTER_PORT", TRAINER_PORT),
    ]


def _processes(plan: Plan) -> int | str:
    """Processes per node: as asked; `auto` (torchrun counts GPUs itself) where there are GPUs; else one per CPU asked for."""
    asked = (plan.trainer_spec or {}).get("numProcPerNode")
    if asked is not None:
        return int(asked)
    per_node = plan.resources_per_node()
    return "auto" if resources.gpus(per_node) else max(1, resources.cpus(per_node))


def _targets(plan: Plan) -> Iterator[tuple[str, str, Obj]]:
    """(replicated job, container, the target that names them) for each container that wants the environment too."""
    injection = plan.policy["torch"].get("envInjection") or {}
    for target in injection.get("targets") or ():
        for container in target["containerNames"]:
            yield target["jobName"], container, target


def _find(plan: Plan, job: str, container: str) -> Obj | None:
    pods = plan.pod_set(job)
    return pods.container(container) if pods else None


def _not_there(job: str, container: str) -> str:
    return f'envInjection target podSet "{job}" container "{container}" not found in runtime template'
