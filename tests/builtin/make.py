"""Objects for these tests, small and whole."""

from typing import Any

from lightship.meta.objects import Obj


def pod_spec(**fields: Any) -> Obj:
    return {"containers": [{"name": "main", "image": "python"}], "restartPolicy": "Never", **fields}


def job(name: str = "job", *, pod: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**spec, "template": {"spec": pod or pod_spec()}},
    }


def replicated(name: str = "node", *, replicas: int = 1, pods: int = 1, depends_on: list[Obj] | None = None, **spec: Any) -> Obj:
    found: Obj = {
        "name": name,
        "replicas": replicas,
        "template": {"spec": {"parallelism": pods, "completions": pods, "backoffLimit": 0, "template": {"spec": pod_spec()}, **spec}},
    }
    if depends_on:
        found["dependsOn"] = depends_on
    return found


def jobset(name: str = "js", *jobs: Obj, **spec: Any) -> Obj:
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicatedJobs": list(jobs) or [replicated(pods=2)], **spec},
    }


def replica_set(name: str = "web", *, pod: Obj | None = None, **spec: Any) -> Obj:
    return workload("ReplicaSet", name, pod=pod, **spec)


def workload(kind: str, name: str = "web", *, pod: Obj | None = None, **spec: Any) -> Obj:
    """Of the group apps, with pods that have the label app and go on for ever."""
    template = {"metadata": {"labels": {"app": name}}, "spec": pod or pod_spec(restartPolicy="Always")}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def leader_worker_set(name: str = "lws", *, replicas: int = 2, size: int = 3, template: Obj | None = None, **spec: Any) -> Obj:
    """`template` are fields of the leaderWorkerTemplate."""
    given = {"size": size, "workerTemplate": {"spec": pod_spec(restartPolicy="Always")}, **(template or {})}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "leaderWorkerTemplate": given, **spec},
    }
