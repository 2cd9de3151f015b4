"""Flux: its brokers on all nodes of a TrainJob, and the command as a Flux job that the first node submits.

An init container copies an installation of Flux ("view") into a volume, so that any image will do; `fluxscripts` are what it and the node
run instead of the command. Brokers prove themselves with a certificate made of the TrainJob's uid, so that making it again changes nothing.
Settings are variables of the node's container or of the TrainJob: FLUX_VIEW_IMAGE, FLUX_NETWORK_DEVICE, FLUX_QUEUE_POLICY.
Contract: Trainer 2.3 flux plugin.
"""

import base64
from collections.abc import Iterator

from lightship.kinds import CONFIG_MAPS, SECRETS
from lightship.meta.errors import Cause, invalid_value
from lightship.meta.objects import Obj
from lightship.train import resources
from lightship.train.api.names import NODE

from . import curve, fluxscripts
from .plan import Care, Component, Plan, PodSet, upsert

INSTALLER = "flux-installer"
"""Name of the init container; runtimes may not have one of their own of that name."""
SETTINGS = {
    "FLUX_VIEW_IMAGE": "ghcr.io/converged-computing/flux-view-ubuntu:tag-jammy",
    "FLUX_NETWORK_DEVICE": "eth0",
    "FLUX_QUEUE_POLICY": "fcfs",
}
CONFIG_SUFFIX, CURVE_SUFFIX = "-flux-entrypoint", "-flux-curve"
_CONFIG_PATH = "/etc/flux-config"
_INSTALL = {"name": "flux-install", "mountPath": "/mnt/flux"}


class Flux:
    name = "Flux"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        if plan.source != "flux":
            return
        if (processes := _processes(plan)) < 1:
            yield invalid_value("spec.trainer.numProcPerNode", processes, "must be greater than or equal to 1 for Flux TrainJob")
        nodes = plan.pod_set(NODE)
        for container in (nodes.pod.get("initContainers") or ()) if nodes else ():
            if container.get("name") == INSTALLER:
                yield invalid_value("spec.trainer.initContainers", INSTALLER, f"InitContainer '{INSTALLER}' is reserved")

    def enforce_ml_policy(self, plan: Plan) -> None:
        if plan.source != "flux":
            return
        plan.take_nodes()
        trainer = {k: v for k, v in (plan.trainer_spec or {}).items() if k != "args"}
        trainer["command"] = ["/bin/bash", f"{_CONFIG_PATH}/entrypoint.sh", _command(plan)]
        image = _settings(plan)["FLUX_VIEW_IMAGE"]
        plan.job = {**plan.job, "spec": {**plan.job["spec"], "trainer": trainer}}  # the TrainJob itself is shared: a plan of another one
        nodes = plan.pod_set(NODE)
        if nodes is not None:
            _equip(plan, nodes, image)

    def build(self, plan: Plan) -> list[Component]:
        if plan.source != "flux":
            return []
        config = {"metadata": plan.metadata(plan.name + CONFIG_SUFFIX), "data": _scripts(plan)}
        certificate = base64.b64encode(curve.certificate(plan.name, plan.job["metadata"]["uid"]).encode()).decode()
        secret = {"metadata": plan.metadata(plan.name + CURVE_SUFFIX), "data": {"curve.cert": certificate}}
        return [
            Component(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", **config}, care=Care.RIGHT),
            Component(SECRETS, {"apiVersion": "v1", "kind": "Secret", **secret}, care=Care.RIGHT),
        ]


def ranks(count: int) -> str:
    """So many numbers from zero, as Flux writes them: `0`, `0-3`."""
    return "0" if count == 1 else f"0-{count - 1}"


def _equip(plan: Plan, nodes: PodSet, image: str) -> None:
    """Volumes for Flux, the init container that fills them, and mounts for the node's own container."""
    config, certificate = plan.name + CONFIG_SUFFIX, "flux-curve"
    volumes: list[Obj] = [
        {"name": "spack-install", "emptyDir": {}},
        {"name": _INSTALL["name"], "emptyDir": {}},
        {"name": config, "configMap": {"name": config, "defaultMode": 0o755}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        {"name": certificate, "secret": {"secretName": plan.name + CURVE_SUFFIX, "defaultMode": 0o400}},
    ]
    scripts = {"name": config, "mountPath": _CONFIG_PATH, "readOnly": True}
    installer = {
        "name": INSTALLER,
        "image": image,
        "command": ["/bin/bash", f"{_CONFIG_PATH}/init.sh"],
        "volumeMounts": [dict(_INSTALL), scripts],
    }
    mounts: list[Obj] = [
        _INSTALL,
        {"name": "spack-install", "mountPath": "/opt/software"},
        scripts,
        {"name": certificate, "mountPath": "/curve", "readOnly": True},
        {"name": "shared-memory", "mountPath": "/dev/shm", "readOnly": True},
    ]
    upsert(nodes.pod, "volumes", volumes)
    nodes.pod.setdefault("initContainers", []).append(installer)
    for container in nodes.pod.get("containers") or ():
        if container.get("name") == NODE:
            upsert(container, "volumeMounts", mounts, key="mountPath")


def _scripts(plan: Plan) -> dict[str, str]:
    nodes, processes, gpus = plan.take_nodes(), _processes(plan), resources.gpus(plan.resources_per_node())
    flags, found = f"-N {nodes} -n {processes * nodes}", f"--cores={ranks(processes)}"
    if gpus:
        flags, found = f"{flags} -g {gpus}", f"{found} --gpu={ranks(gpus)}"
    hosts = f"{plan.name}-{NODE}-0-[{ranks(nodes)}]"
    settings = _settings(plan)
    broker = fluxscripts.broker(
        hosts=hosts,
        device=settings["FLUX_NETWORK_DEVICE"],
        domain=f"{plan.name}.{plan.job['metadata']['namespace']}.svc.cluster.local",
        queue=settings["FLUX_QUEUE_POLICY"],
    )
    return {
        "entrypoint.sh": fluxscripts.entrypoint(leader=f"{plan.name}-{NODE}-0-0", found=found, flags=flags),
        "init.sh": fluxscripts.init(hosts=hosts, broker=broker),
    }


def _settings(plan: Plan) -> dict[str, str]:
    """The TrainJob's word counts before the runtime's, and that before the defaults."""
    container = plan.trainer_container or {}
    said = [*(container.get("env") or ()), *((plan.trainer_spec or {}).get("env") or ())]
    return {**SETTINGS, **{e["name"]: e["value"] for e in said if e["name"] in SETTINGS and "value" in e}}


def _processes(plan: Plan) -> int:
    asked = (plan.trainer_spec or {}).get("numProcPerNode")
    return int(plan.policy["flux"].get("numProcPerNode", 1) if asked is None else asked)


def _command(plan: Plan) -> str:
    """What the node would have run: the TrainJob's command, else the runtime's, with the TrainJob's arguments."""
    trainer = plan.trainer_spec or {}
    command = trainer.get("command")
    if command is None:
        command = (plan.trainer_container or {}).get("command") or []
    return " ".join([*command, *(trainer.get("args") or ())]).strip()
