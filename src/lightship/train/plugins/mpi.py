"""MPI: a launcher that starts processes on nodes over SSH, by a list of them; DeepSpeed and MLX train this way.

Gives the nodes and the launcher a key of the TrainJob's own, the launcher the list of nodes and what Open MPI reads, and counts nodes: with
`runLauncherAsNode` the launcher is one of them. The Secret is built without its keys: they are made up when it is created (`sshkeys`).
Contract: Trainer 2.3 mpi plugin.
"""

from collections.abc import Iterator

from lightship.kinds import CONFIG_MAPS, SECRETS
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.train import resources
from lightship.train.api import LAUNCHER, NODE, TRAINER
from lightship.train.api.causes import rejected
from lightship.train.errors import PlanError

from .plan import Care, Component, Plan, PodSet, env, upsert

OPEN_MPI = "OpenMPI"
HOSTFILE = "/etc/mpi/hostfile"
_HOSTFILE_VAR = "OMPI_MCA_orte_default_hostfile"
_FULL_NAMES_VAR = "OMPI_MCA_orte_keep_fqdn_hostnames"
_SLOTS_VAR = "OMPI_MCA_orte_set_default_slots"
_SSH_VAR = "OMPI_MCA_plm_rsh_args"
_SSH_ARGUMENTS = "-o ConnectionAttempts=10"
_SINCE_5 = {
    _HOSTFILE_VAR: "PRTE_MCA_prte_default_hostfile",
    _FULL_NAMES_VAR: "PRTE_MCA_prte_keep_fqdn_hostnames",
    _SLOTS_VAR: "PRTE_MCA_prte_set_default_slots",
    _SSH_VAR: "PRTE_MCA_plm_ssh_args",
}
"""What Open MPI 5 calls them: it ignores the older names, finds no hosts and runs everything on the launcher. Upstream sets only those."""
_RESOLVE_VAR = "PRTE_MCA_prte_do_not_resolve"
"""0: look names up. By its own name, which is the first part of the one in the list, a launcher would not know that it is itself a node."""
RESERVED = (_HOSTFILE_VAR, _FULL_NAMES_VAR, _SSH_VAR, _SLOTS_VAR)

SECRET_SUFFIX, _KEYS = "-mpi-ssh-auth", "mpi-ssh-auth"
CONFIG_SUFFIX, _HOSTS = "-mpi-hostfile", "mpi-hostfile"
SSH_AUTH = "kubernetes.io/ssh-auth"
PRIVATE_KEY, PUBLIC_KEY = "ssh-privatekey", "ssh-publickey"
_KEY_FILES = ((PRIVATE_KEY, "id_rsa", 0o640), (PUBLIC_KEY, "id_rsa.pub", 0o644), (PUBLIC_KEY, "authorized_keys", 0o644))
"""Which of the Secret's keys a pod finds in which file, with which mode."""
_ONE_NODE = "must have 1 when MPI trainingRuntime with enabled runLauncherAsNode does not have either launcher and node"


class MPI:
    name = "MPI"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        if plan.source != "mpi" or plan.trainer_spec is None:
            return
        asked = plan.trainer_spec.get("numNodes")
        if (asked or 1) >= 2 and _launcher_is_node(plan) and not (plan.pod_set(LAUNCHER) and plan.pod_set(NODE)):
            yield rejected("spec.trainer.numNodes", asked, _ONE_NODE)
        listed = plan.trainer_spec.get("env") or []
        taken = sorted({e["name"] for e in listed} & set(RESERVED))
        if taken:
            yield rejected("spec.trainer.env", listed, f"must not have reserved envs, invalid envs configured: [{' '.join(taken)}]")

    def enforce_ml_policy(self, plan: Plan) -> None:
        if plan.source != "mpi":
            return
        _count_nodes(plan)
        for pods in plan.pod_sets:
            if pods.name in (NODE, LAUNCHER):
                _equip(plan, pods)

    def build(self, plan: Plan) -> list[Component]:
        if plan.source != "mpi":
            return []
        nodes = [endpoint for pods in plan.pod_sets if _is_node(plan, pods) for endpoint in pods.endpoints]
        hosts = "".join(f"{node} slots={processes(plan)}\n" for node in nodes)
        keys = {"metadata": plan.metadata(plan.name + SECRET_SUFFIX), "type": SSH_AUTH, "immutable": True}
        hostfile = {"metadata": plan.metadata(plan.name + CONFIG_SUFFIX), "data": {"hostfile": hosts}}
        return [
            Component(SECRETS, {"apiVersion": "v1", "kind": "Secret", **keys}, once=True, care=Care.THERE),
            Component(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", **hostfile}, care=Care.RIGHT),
        ]


def processes(plan: Plan) -> int:
    """Processes per node: as the TrainJob says, else as the runtime, where 1 means one for each GPU."""
    asked = (plan.trainer_spec or {}).get("numProcPerNode")
    if asked is None:
        asked = plan.policy["mpi"].get("numProcPerNode", 1)
        if asked == 1:
            asked = max(1, resources.gpus(plan.resources_per_node()))
    return int(asked)


def _launcher_is_node(plan: Plan) -> bool:
    return bool(plan.policy["mpi"].get("runLauncherAsNode"))


def _is_node(plan: Plan, pods: PodSet) -> bool:
    return pods.name == NODE or (pods.name == LAUNCHER and _launcher_is_node(plan))


def _count_nodes(plan: Plan) -> None:
    asked, nodes = (plan.trainer_spec or {}).get("numNodes"), plan.pod_set(NODE)
    if asked is not None and nodes is not None:
        nodes.count = max(asked - 1, 1) if _launcher_is_node(plan) else asked


def _equip(plan: Plan, pods: PodSet) -> None:
    """Keys for everybody, the list of nodes and Open MPI's environment for the launcher, the TrainJob's words for its nodes."""
    launches = pods.name == LAUNCHER
    volumes: list[Obj] = [{"name": _KEYS, "secret": _key_files(plan.name + SECRET_SUFFIX)}]
    mounts: list[Obj] = [{"name": _KEYS, "mountPath": plan.policy["mpi"].get("sshAuthMountPath", "/root/.ssh")}]
    if launches:
        item = {"key": "hostfile", "path": "hostfile", "mode": 0o444}
        volumes.append({"name": _HOSTS, "configMap": {"name": plan.name + CONFIG_SUFFIX, "items": [item]}})
        mounts.append({"name": _HOSTS, "mountPath": "/etc/mpi"})
    upsert(pods.pod, "volumes", volumes)
    container: Obj | None = next((c for c in pods.pod.get("containers") or () if c.get("name") == NODE), None)
    if container is None:
        return
    upsert(container, "volumeMounts", mounts, key="mountPath")
    if launches:
        upsert(container, "env", _environment(plan))
    elif _launcher_is_node(plan) and pods.ancestor != TRAINER:
        _take_over(plan, container)


def _key_files(secret: str) -> Obj:
    return {"secretName": secret, "defaultMode": 0o400, "items": [{"key": k, "path": p, "mode": m} for k, p, m in _KEY_FILES]}


def _environment(plan: Plan) -> list[Obj]:
    implementation = plan.policy["mpi"].get("mpiImplementation", OPEN_MPI)
    if implementation != OPEN_MPI:
        raise PlanError(f'MPI implementation "{implementation}" is not supported: set mpiImplementation to {OPEN_MPI}')
    said = {_HOSTFILE_VAR: HOSTFILE, _FULL_NAMES_VAR: "true", _SLOTS_VAR: processes(plan), _SSH_VAR: _SSH_ARGUMENTS}
    since = {**{_SINCE_5[name]: value for name, value in said.items()}, _RESOLVE_VAR: "0"}
    return [env(name, value) for name, value in {**said, **since}.items()]


def _take_over(plan: Plan, container: Obj) -> None:
    """Nodes beside a launcher that trains as well get what the TrainJob says of a node, as the launcher does elsewhere."""
    trainer = plan.trainer_spec or {}
    if trainer.get("resourcesPerNode") is not None:
        container["resources"] = resources.merge(container.get("resources") or {}, trainer["resourcesPerNode"])
    if trainer.get("env"):
        upsert(container, "env", trainer["env"])
