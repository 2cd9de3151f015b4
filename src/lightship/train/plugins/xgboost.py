"""XGBoost: the environment of its collective tracker (DMLC_*), which runs beside worker 0.

Injected into the trainer's `node` container when the TrainJob has a `spec.trainer`.
Contract: Trainer 2.3 xgboost plugin.
"""

from collections.abc import Iterator

from lightship.meta.errors import Cause, forbidden_field
from lightship.train import resources
from lightship.train.api.names import COMPLETION_INDEX_PATH, TRAINER_PORT

from .plan import Plan, env, env_from_field, upsert

RESERVED = ("DMLC_NUM_WORKER", "DMLC_TASK_ID", "DMLC_TRACKER_PORT", "DMLC_TRACKER_URI")


class XGBoost:
    name = "XGBoost"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        if plan.source != "xgboost":
            return
        for i, variable in enumerate((plan.trainer_spec or {}).get("env") or ()):
            if variable["name"] in RESERVED:
                yield forbidden_field(f"spec.trainer.env[{i}]", f"{variable['name']} is reserved for the XGBoost runtime")

    def enforce_ml_policy(self, plan: Plan) -> None:
        if plan.source != "xgboost":
            return
        nodes = plan.take_nodes()
        container = plan.trainer_container
        if plan.trainer_spec is None or container is None:
            return
        workers = nodes * (resources.gpus(plan.resources_per_node()) or 1)
        variables = [
            env("DMLC_TRACKER_URI", plan.master),
            env("DMLC_TRACKER_PORT", TRAINER_PORT),
            env_from_field("DMLC_TASK_ID", COMPLETION_INDEX_PATH),
            env("DMLC_NUM_WORKER", workers),
        ]
        upsert(container, "env", variables)
        upsert(container, "ports", [{"containerPort": TRAINER_PORT}], key="containerPort")
