"""The demo's TrainJob, seen through the official clients: the Kubeflow SDK submits and follows it, `kubernetes` watches its pods.

Called by `command`. The clients cost seconds to import, so they are loaded in a step of their own, when asked.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from lightship.aio.clock import pause
from lightship.cli.errors import CliError
from lightship.cli.progress import Step
from lightship.main.instance import Running

CLAIM = "digits-model"
MOUNT = "/mnt/model"
_EPOCH = re.compile(r"epoch (\d+)/(\d+) .*?accuracy ([0-9.]+)")


class Sdk(NamedTuple):
    """The official clients, loaded once: they cost seconds to import."""

    trainer: Any
    kubernetes: Any
    options: Any
    config: Any
    train_digits: Callable[..., Any]


def check_sdk() -> None:
    """Say early, and before anything is started, that the official clients are missing. Raises `CliError`."""
    for module in ("kubeflow", "kubernetes"):
        if find_spec(module) is None:
            raise _missing(module)


def _missing(module: str | None) -> CliError:
    return CliError(f"the demo submits with the official Kubeflow SDK, and {module} is not installed", hint='pip install "lightship[demo]"')


def load_sdk() -> Sdk:
    try:
        import kubernetes
        from kubeflow import trainer
        from kubeflow.common.types import KubernetesBackendConfig
        from kubeflow.trainer import options
    except ImportError as error:
        raise _missing(error.name) from error
    from lightship.train.runtime.digits import train_digits

    return Sdk(trainer, kubernetes, options, KubernetesBackendConfig, train_digits)


def share(nodes: int, processors: int) -> str:
    """What each node asks for: limits are kept, so as much as there is, up to one, and a tenth left for others."""
    return f"{min(1000, 900 * processors // nodes)}m"


class Job:
    """The demo's TrainJob, seen through the SDK and the Kubernetes client."""

    def __init__(self, sdk: Sdk, running: Running) -> None:
        self._sdk = sdk
        self._client = sdk.trainer.TrainerClient(sdk.config(namespace="default", config_file=running.kubeconfig))
        self._core = sdk.kubernetes.client.CoreV1Api()
        self.name = ""

    def submit(self, *, nodes: int, epochs: int) -> None:
        self._claim_volume()
        self.name = self._client.train(
            runtime="torch-distributed",
            trainer=self._sdk.trainer.CustomTrainer(
                func=self._sdk.train_digits,
                func_args={"epochs": epochs, "output": MOUNT},
                num_nodes=nodes,
                packages_to_install=["scikit-learn"],
                resources_per_node={"cpu": share(nodes, os.cpu_count() or 1), "memory": "2Gi"},
            ),
            options=[self._volume()],
        )

    def _claim_volume(self) -> None:
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
        }
        try:
            self._core.create_namespaced_persistent_volume_claim("default", claim)
        except self._sdk.kubernetes.client.ApiException as error:
            if error.status != 409:
                raise

    def _volume(self) -> Any:
        o = self._sdk.options
        pod = o.PodSpecPatch(
            volumes=[{"name": "model", "persistentVolumeClaim": {"claimName": CLAIM}}],
            containers=[o.ContainerPatch(name="node", volume_mounts=[{"name": "model", "mountPath": MOUNT}])],
        )
        job = o.JobTemplatePatch(spec=o.JobSpecPatch(template=o.PodTemplatePatch(spec=pod)))
        jobset = o.JobSetSpecPatch(replicated_jobs=[o.ReplicatedJobPatch(name="node", template=job)])
        return o.RuntimePatch(training_runtime_spec=o.TrainingRuntimeSpecPatch(template=o.JobSetTemplatePatch(spec=jobset)))

    def _pods(self) -> list[Any]:
        selector = f"jobset.sigs.k8s.io/jobset-name={self.name}"
        found: list[Any] = self._core.list_namespaced_pod("default", label_selector=selector).items
        return found

    def wait_running(self, step: Step) -> None:
        """Until every pod runs (or one has ended); shows what the node is doing meanwhile."""
        while True:
            pods = self._pods()
            if pods and all(pod.status.phase != "Pending" for pod in pods):
                return
            for pod in pods:
                _refuse_hopeless(pod)
            step.update(note=next(iter(_notes(pods)), ""))
            pause(0.05)

    def follow(self, step: Step) -> None:
        """Print what the first node says, its epochs as progress."""
        for line in self._client.get_job_logs(self.name, follow=True):
            for text in str(line).splitlines():
                found = _EPOCH.search(text)
                if found:
                    epoch, last, accuracy = int(found[1]), int(found[2]), found[3]
                    step.update(epoch / last, f"epoch {epoch}/{last}, held-out accuracy {accuracy} %")
                else:
                    step.line(f"    {text}")
        self._client.wait_for_job_status(self.name, status={"Complete", "Failed"}, timeout=60, polling_interval=1)

    def result(self) -> dict[str, Any]:
        """The metrics that the job saved beside the model. Raises `CliError` when it failed."""
        job = self._client.get_job(self.name)
        directory = self.volume()
        if job.status != "Complete" or directory is None:
            raise CliError(f"the job {self.name} ended as {job.status}", hint=f"lightship train logs {self.name}")
        found: dict[str, Any] = json.loads((directory / "metrics.json").read_text())
        return {**found, "model": str(directory / "model.pt")}

    def volume(self) -> Path | None:
        claim = self._core.read_namespaced_persistent_volume_claim(CLAIM, "default")
        if not claim.spec.volume_name:
            return None
        volume = self._core.read_persistent_volume(claim.spec.volume_name)
        source = volume.spec.host_path or volume.spec.local
        return Path(source.path) if source else None


def _notes(pods: list[Any]) -> Iterator[str]:
    for pod in pods:
        for status in pod.status.container_statuses or []:
            waiting = status.state.waiting
            if waiting and waiting.message:
                yield waiting.message


def _refuse_hopeless(pod: Any) -> None:
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            raise CliError(f"the job does not fit this machine: {condition.message}", hint="lightship demo --nodes 1")
    for status in pod.status.container_statuses or []:
        waiting = status.state.waiting
        if waiting and waiting.reason in ("ErrImagePull", "ImagePullBackOff"):
            raise CliError(f"the pods' environment could not be made: {waiting.message}", hint="the log of the platform has more")
