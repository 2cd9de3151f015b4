"""JAX: the environment that `jax.distributed.initialize()` reads.

Injected into the trainer's `node` container when the TrainJob has a `spec.trainer`.
Contract: Trainer 2.3 jax plugin.
"""

from lightship.train.api.names import COMPLETION_INDEX_PATH, TRAINER_PORT

from .plan import Plan, env, env_from_field, upsert


class Jax:
    name = "JAX"

    def enforce_ml_policy(self, plan: Plan) -> None:
        if plan.source != "jax":
            return
        nodes = plan.take_nodes()
        container = plan.trainer_container
        if plan.trainer_spec is None or container is None:
            return
        variables = [
            env("JAX_NUM_PROCESSES", nodes),
            env_from_field("JAX_PROCESS_ID", COMPLETION_INDEX_PATH),
            env("JAX_COORDINATOR_ADDRESS", f"{plan.master}:{TRAINER_PORT}"),
        ]
        upsert(container, "env", variables)
        upsert(container, "ports", [{"containerPort": TRAINER_PORT}], key="containerPort")
