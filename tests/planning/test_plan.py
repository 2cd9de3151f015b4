"""`lightship plan`: what comes of a manifest, on a cluster that is plain objects, and on our server without leaving a trace there."""

from argparse import Namespace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from lightship import kinds
from lightship.builtin.api import JOB_SETS
from lightship.cli.apply import apply_all
from lightship.cli.cluster import Cluster
from lightship.cli.manifests import parse
from lightship.main.commands import main
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.planning import command, costs, fitting, page, waits
from lightship.planning.live import Asked, Live
from lightship.planning.trial import Made, Trial
from lightship.testing import cluster
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, RESOURCES, TRAIN_JOBS
from lightship.train.bootstrap import bootstrap, runtimes
from tests.train import make, site
from tests.train.site import Site

NAMESPACE: Obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}


def node(name: str, *, cpu: int = 4, gpus: int = 0, price: str = "") -> Obj:
    room = {"cpu": str(cpu), "memory": "16Gi", "pods": "110", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    annotations = {"lightship.dev/price-per-hour": price} if price else {}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}, "status": {"capacity": room, "allocatable": room}}


def quota(name: str = "team", **hard: str) -> Obj:
    hard = {key.replace("_", "."): value for key, value in hard.items()}
    status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "default"}, "status": status}


def trainjob(nodes: int = 2, name: str = "mnist", **spec: Any) -> Obj:
    resources = {"requests": {"cpu": "2"}}
    trainer = {"numNodes": nodes, "image": "busybox", "command": ["true"], "resourcesPerNode": resources}
    return make.job(name, trainer=trainer, **spec)


def deployment(replicas: int = 2, **pod: Any) -> Obj:
    containers = [{"name": "c", "image": "nginx", "resources": {"requests": {"cpu": "1"}}}]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers, **pod}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}


def plan(*wanted: Obj, nodes: list[Obj] | None = None, data: Path | None = None, **more: list[Obj]) -> page.Report:
    """The plan of objects on a cluster of these nodes and of `more` objects by the plural of their kind."""
    found: dict[Resource, list[Obj]] = {resource: [] for resource in (*kinds.BUILTIN, TRAIN_JOBS)}
    by_plural = {resource.plural: resource for resource in found}
    found |= {by_plural[plural]: objs for plural, objs in more.items()}
    found |= {kinds.NODES: nodes or [], kinds.NAMESPACES: [NAMESPACE], CLUSTER_TRAINING_RUNTIMES: runtimes()}
    return command.plan(Asked(Live("default", found, []), list(wanted), []), data=data)


@pytest.mark.slow
def test_a_job_that_fits() -> None:
    owner = {"apiVersion": TRAIN_JOBS.api_version, "kind": "TrainJob", "name": "mnist", "uid": "earlier", "controller": True}
    left = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mnist-runtime-snapshot", "namespace": "default"}}
    left["metadata"]["ownerReferences"] = [owner]  # type: ignore[index]  # of an earlier job of this name
    report = plan(trainjob(3), nodes=[node("a", price="2"), node("b", price="1")], configmaps=[left])
    found = page.summary(report)
    assert {kind: found["creates"][kind] for kind in ("TrainJob", "JobSet", "Job", "Pod", "Service")} == {
        "TrainJob": 1,
        "JobSet": 1,
        "Job": 1,
        "Pod": 3,
        "Service": 1,
    }
    (step,) = found["steps"]
    assert (step["name"], step["pods"], step["fit"], step["requests"]) == ("node", 3, 3, {"cpu": "2"})
    assert set(step["nodes"]) == {"a", "b"}
    assert (found["startsNow"], found["waitsFor"]) == (True, [])
    assert found["cost"]["nodesPerHour"] == 3
    text = page.text(report)
    assert "Waits for  nothing: it would start now" in text
    assert "an hour for what it asks for (3.00 for the nodes as wholes)" in text


@pytest.mark.slow
def test_a_job_that_does_not_fit_says_why() -> None:
    report = plan(trainjob(3), deployment(1), nodes=[node("a")])
    jobs, web = page.steps(report)
    assert (jobs.name, len(jobs.places), jobs.placed) == ("TrainJob mnist, node", 3, 2)
    assert jobs.why.startswith("0/1 nodes are available: 1 Insufficient cpu.")
    assert (web.name, web.placed) == ("Deployment web", 0)
    assert not page.starts(report)
    assert "not known: nodes have no price" in page.text(report)
    dear = plan(trainjob(3), nodes=[node("a", price="2")])
    assert "for the 2 of 3 pods that fit" in page.text(dear)
    assert "not known while nothing fits" in page.text(plan(trainjob(1), nodes=[node("a", cpu=1, price="2")]))


@pytest.mark.slow
def test_what_a_plan_waits_for() -> None:
    claim = {"name": "d", "persistentVolumeClaim": {"claimName": "gone"}}
    secret = {"name": "s", "secret": {"secretName": "there"}}
    there: Obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there", "namespace": "default"}}
    held = trainjob(2, suspend=True)
    queued = {**trainjob(1, "queued"), "metadata": {"name": "queued", "namespace": "default", "labels": {waits.QUEUE_LABEL: "team"}}}
    report = plan(
        *(held, queued, deployment(1, volumes=[claim, secret])),
        nodes=[node("a", cpu=64)],
        resourcequotas=[quota(requests_cpu="5", pods="100")],
        secrets=[there],
    )
    assert report.waits == [
        "TrainJob mnist is suspended: nothing is made of it until it is resumed; the rest of the plan is what follows then",
        "TrainJob queued waits until Kueue admits it through the queue team",
        "exceeded quota: team, requested: requests.cpu=7, used: requests.cpu=0, limited: requests.cpu=5 (4 objects together)",
        "PersistentVolumeClaim gone is not there",
    ]
    assert page.summary(report)["creates"]["Pod"] == 4, "what follows once nobody holds it back"


@pytest.mark.slow
def test_pods_that_come_later_take_the_room_of_those_that_have_ended() -> None:
    def step(name: str, **more: Any) -> Obj:
        container = {"name": "c", "image": "busybox", "resources": {"requests": {"cpu": "4"}}}
        pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        return {"name": name, "template": {"spec": {"template": pod}}, **more}

    spec = {"replicatedJobs": [step("first"), step("second", dependsOn=[{"name": "first", "status": "Complete"}])]}
    jobset: Obj = {"apiVersion": JOB_SETS.api_version, "kind": "JobSet", "metadata": {"name": "js", "namespace": "default"}, "spec": spec}
    report = plan(jobset, nodes=[node("a", cpu=4)], resourcequotas=[quota(requests_cpu="4")])
    assert [(found.name, found.placed) for found in page.steps(report)] == [("first", 1), ("second", 1)]
    assert report.waits == []


def test_an_image_that_means_nothing_is_named(tmp_path: Path) -> None:
    pod = make.jobset()["metadata"] | {"name": "p"}
    made = Made({"kind": "Pod", "metadata": pod, "spec": {"containers": [{"image": "acme/x:1"}, {"image": "busybox"}]}}, 0.0)
    trial = Trial(made={"1": made})
    ours = node("a")
    ours["metadata"]["annotations"]["lightship.dev/runtime"] = "sandbox"
    live = Live("default", {kinds.NODES: [ours]}, [])
    assert waits.unmapped(trial, live, tmp_path) == [
        'image "acme/x:1" means nothing here; lightship images map "acme/x:1" --packages ...',
    ]
    assert waits.unmapped(trial, live, None) == []
    (tmp_path / "images.json").write_text('[{"pattern": "acme/*"}]')
    assert waits.unmapped(trial, live, tmp_path) == []


def test_a_gang_goes_whole_or_not_at_all() -> None:
    def pod(number: int) -> Made:
        labels = {"scheduling.x-k8s.io/pod-group": "g"}
        container = {"name": "c", "image": "a", "resources": {"requests": {"cpu": "3"}}}
        metadata = {"name": f"p{number}", "namespace": "default", "uid": f"u{number}", "labels": labels}
        return Made({"kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}, 0.0)

    group = {
        "apiVersion": "scheduling.x-k8s.io/v1alpha1",
        "kind": "PodGroup",
        "metadata": {"name": "g", "namespace": "default"},
        "spec": {"minMember": 2},
    }
    made = {"g": Made(group, 0.0), **{f"u{n}": pod(n) for n in (0, 1)}}
    one = Live("default", {kinds.NODES: [node("a")], kinds.NAMESPACES: [NAMESPACE]}, [])
    assert [place.node for place in fitting.fit(Trial(made=made), one).places] == ["", ""]
    two = Live("default", {kinds.NODES: [node("a"), node("b")], kinds.NAMESPACES: [NAMESPACE]}, [])
    assert {place.node for place in fitting.fit(Trial(made=made), two).places} == {"a", "b"}


def test_earlier_jobs_tell_how_long_it_takes() -> None:
    def earlier(name: str, hours: int, **spec: Any) -> Obj:
        done = make.condition("Complete", "AllJobsCompleted", when=f"2023-11-14T{20 + hours}:00:00Z")
        return {**trainjob(2, name, **spec), "metadata": {"creationTimestamp": "2023-11-14T20:00:00Z"}, "status": {"conditions": [done]}}

    past = [earlier("a", 1), earlier("b", 3), earlier("other", 9, runtime="else"), make.job("open")]
    fit = fitting.Fit([], {}, [])
    found = costs.cost(fit, [trainjob(2, "new")], [obj for obj in past if obj["metadata"].get("creationTimestamp")])
    assert (found.hours, found.jobs, found.per_hour) == (2, 2, None)


@pytest.mark.slow
@pytest.mark.parametrize(("provisioner", "fits"), [("lightship.dev/local", 2), ("kubernetes.io/no-provisioner", 0)])
def test_a_volume_that_will_be_made_is_not_waited_for(provisioner: str, fits: int) -> None:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    local: Obj = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local", "annotations": annotations}}
    job = trainjob(2)
    job["metadata"]["annotations"] = {"lightship.dev/checkpoint": "true"}
    report = plan(job, nodes=[node("a")], storageclasses=[local | {"provisioner": provisioner, "volumeBindingMode": "Immediate"}])
    (step,) = page.steps(report)
    assert (page.summary(report)["creates"]["PersistentVolumeClaim"], step.placed) == (1, fits)
    assert ("unbound immediate" in step.why) == (not fits)


@pytest.mark.slow
def test_a_job_that_is_there_already_can_be_planned(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Its controllers' objects, which are another job's here, are not in the way, and a trial logs nothing."""
    owner = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "name": "mnist", "uid": "u", "controller": True}
    metadata = {"name": "mnist-runtime-snapshot", "namespace": "default", "ownerReferences": [owner]}
    kept: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"runtime": ""}}
    report = plan(trainjob(1), nodes=[node("a")], configmaps=[kept])
    assert (report.trial.complaints, [step.placed for step in page.steps(report)]) == ([], [1])
    foreign = {**kept, "metadata": {**metadata, "ownerReferences": []}}
    report = plan(trainjob(1), nodes=[node("a")], configmaps=[foreign])
    assert report.trial.complaints
    assert caplog.records == []
    assert capsys.readouterr().err == ""


def test_nothing_is_written(tmp_path: Path) -> None:
    too_large, mistyped = trainjob(1, "Not_A_Name"), trainjob(1, "mistyped")
    mistyped["spec"]["trainer"]["nodes"] = 3
    manifests = list(parse(yaml.safe_dump_all([trainjob(), deployment(), too_large, mistyped]), "file"))
    gang = list(parse((Path(__file__).parents[2] / "examples" / "train" / "gang.yaml").read_text(), "file"))

    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        await s.client.create(kinds.NODES, node("a"))
        cluster = Cluster(cast(Any, s.client.transport), "default")
        cluster._resources = [*kinds.BUILTIN, JOB_SETS, *RESOURCES]
        before = (await s.client.list(kinds.NODES)).resource_version
        asked = await command.ask(cluster, manifests)
        assert (await command.ask(cluster, gang)).refusals == [], "its runtime comes first"
        assert "not found" in (await command.ask(cluster, gang[::-1])).refusals[0]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": []}}
        said = await command.ask_pods(cluster, [pod])
        with pytest.raises(StatusError, match=r'unknown field "spec\.trainer\.nodes"'):
            await apply_all(cluster, manifests[3:])
        assert (await s.client.list(kinds.NODES)).resource_version == before
        assert [said.partition(":")[0] for said in asked.refusals] == ["TrainJob Not_A_Name", "TrainJob mistyped"]
        assert 'unknown field "spec.trainer.nodes"' in asked.refusals[1]
        assert said == ["Pod p would be refused: " + said[0].partition("refused: ")[2]]
        assert "spec.containers: Required value" in said[0]
        assert [one["metadata"]["name"] for one in asked.live.of(CLUSTER_TRAINING_RUNTIMES)]

    site.run(scenario)


@pytest.mark.slow
def test_the_command_on_a_running_platform(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(yaml.safe_dump(trainjob()))
    bad.write_text(yaml.safe_dump(trainjob(1, "lost", runtime="gone")))
    with cluster(node=False) as running:
        words = ["--kubeconfig", running.kubeconfig]
        assert main(["plan", str(good), *words]) == command.WAITS
        assert "Waits for  node: no nodes available to schedule pods" in capsys.readouterr().out
        assert main(["plan", str(bad), *words]) == command.REFUSED
        assert "specified clusterTrainingRuntime must be created before" in capsys.readouterr().out
        assert main(["plan", str(good), "-o", "json", *words]) == command.WAITS
        assert yaml.safe_load(capsys.readouterr().out)["creates"]["Pod"] == 2
        assert running.run(running.client.list(TRAIN_JOBS, "default")).items == []


def test_whose_images_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIGHTSHIP_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    mine = tmp_path / "default"
    assert command._data(Namespace(name="default", kubeconfig="")) == mine
    assert command._data(Namespace(name="default", kubeconfig=str(mine / "kubeconfig"))) == mine
    assert command._data(Namespace(name="default", kubeconfig="/else")) is None
