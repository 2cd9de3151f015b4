"""Objects as their users write them, in the namespace of a site."""

from typing import Any

from lightship.meta.objects import Obj
from tests.cluster.site import Site


def _pod_spec() -> Obj:
    return {"containers": [{"name": "main", "image": "python"}], "restartPolicy": "Never"}


def train_job(here: Site, name: str = "mnist", *, nodes: int = 2, **spec: Any) -> Obj:
    trainer = {"numNodes": nodes, "command": ["torchrun", "train.py"], "env": [{"name": "EPOCHS", "value": "3"}]}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": here.namespace},
        "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer, **spec},
    }


def job(here: Site, name: str = "job", **spec: Any) -> Obj:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": here.namespace},
        "spec": {"template": {"spec": _pod_spec()}, **spec},
    }


def replicated(name: str, *, depends_on: str = "", until: str = "Complete", replicas: int = 1, pods: int = 1) -> Obj:
    spec = {"parallelism": pods, "completions": pods, "backoffLimit": 0, "template": {"spec": _pod_spec()}}
    found: Obj = {"name": name, "replicas": replicas, "template": {"spec": spec}}
    if depends_on:
        found["dependsOn"] = [{"name": depends_on, "status": until}]
    return found


def job_set(here: Site, name: str, *replicated_jobs: Obj, **spec: Any) -> Obj:
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "namespace": here.namespace},
        "spec": {"replicatedJobs": list(replicated_jobs), **spec},
    }


def pod(here: Site, name: str, **spec: Any) -> Obj:
    metadata = {"name": name, "namespace": here.namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**_pod_spec(), **spec}}


def config_map(here: Site, name: str, **metadata: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": here.namespace, **metadata}}
