"""How the agents of torchrun meet when nodes come and go: at the first one, by its c10d backend, as often as it takes.

Without it nodes have fixed numbers and meet once, and a node that is replaced waits for others who do not. Called by `restarts` and
`elastic`, after the torch plugin. What the TrainJob or the runtime says of the same variables stays.
Contract: torchrun's PET_ variables and the settings of its c10d rendezvous (torch 2.x).
"""

from lightship.meta.objects import Obj
from lightship.train.api.names import TRAINER_PORT

from .plan import Plan, env, upsert

_SETTINGS = {"last_call_timeout": 5, "keep_alive_interval": 2, "keep_alive_max_attempt": 5, "join_timeout": 3600}
"""Seconds: how long to wait for more than the fewest nodes, when a node counts as gone, how long to wait for the fewest."""


def meet_again(plan: Plan, worker_restarts: int, nodes: str = "") -> None:
    """Let the trainer's agents meet whenever one of them starts anew; `nodes`, as `1:4`, when their number may change."""
    container = plan.trainer_container
    if container is None or plan.trainer_spec is None:
        return
    subdomain = (plan.spec.get("network") or {}).get("subdomain") or plan.name
    variables = [
        env("PET_RDZV_BACKEND", "c10d"),
        env("PET_RDZV_ENDPOINT", f"{plan.master}:{TRAINER_PORT}"),
        env("PET_RDZV_ID", plan.job["metadata"].get("uid") or plan.name),
        env("PET_RDZV_CONF", ",".join(f"{name}={value}" for name, value in _SETTINGS.items())),
        # Agents number themselves in the order of these, so that the first node keeps rank 0 and its log the epochs.
        env("PET_LOCAL_ADDR", f"{plan.name}-node-0-$(PET_NODE_RANK).{subdomain}"),
        env("PET_MAX_RESTARTS", worker_restarts),
        # A store that is shared between rounds is not told to nodes which come later.
        env("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", 1),
    ]
    upsert(container, "env", [v for v in variables if not _said(container, v["name"])])
    if nodes:
        upsert(container, "env", [env("PET_NNODES", nodes)])


def _said(container: Obj, name: str) -> bool:
    return any(e.get("name") == name for e in container.get("env") or ())
