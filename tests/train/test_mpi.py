"""The mpi plugin: upstream's tables, what its keys and files look like, and that they are made once.

`cases/mpi.json` holds the cases of mpi_test.go and the MPI case of trainingruntime_test.go under upstream's names, all but those for Go's
own nil values and for a client that fails. Names of pods are those that JobSet gives where upstream's table made some up. One thing differs
everywhere: a launcher also gets the variables that Open MPI 5 reads (PRTE_*).
"""

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from lightship.builtin.api import JOB_SETS
from lightship.kinds import CONFIG_MAPS, SECRETS
from lightship.meta import codec, objects
from lightship.meta.objects import Obj, copy
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES
from lightship.train.bootstrap import runtimes
from lightship.train.errors import PlanError
from lightship.train.plugins import FRAMEWORK
from tests.train import make, site
from tests.train.site import Site

CASES: dict[str, dict[str, Any]] = codec.decode((Path(__file__).parent / "cases" / "mpi.json").read_bytes())
OPEN_MPI_4 = {
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
    "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
    "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
}
OPEN_MPI_5 = {
    "PRTE_MCA_prte_default_hostfile": "/etc/mpi/hostfile",
    "PRTE_MCA_prte_keep_fqdn_hostnames": "true",
    "PRTE_MCA_plm_ssh_args": "-o ConnectionAttempts=10",
    "PRTE_MCA_prte_do_not_resolve": "0",
}
KEYS: Obj = {
    "name": "mpi-ssh-auth",
    "secret": {
        "secretName": "trainjob-mpi-ssh-auth",
        "defaultMode": 0o400,
        "items": [
            {"key": "ssh-privatekey", "path": "id_rsa", "mode": 0o640},
            {"key": "ssh-publickey", "path": "id_rsa.pub", "mode": 0o644},
            {"key": "ssh-publickey", "path": "authorized_keys", "mode": 0o644},
        ],
    },
}
HOSTS: Obj = {
    "name": "mpi-hostfile",
    "configMap": {"name": "trainjob-mpi-hostfile", "items": [{"key": "hostfile", "path": "hostfile", "mode": 0o444}]},
}


def runtime(jobs: dict[str, str], policy: Obj, resources: Obj | None = None) -> Obj:
    """A runtime with replicated jobs (name → the step they carry out), each with a container `node`."""
    container = {"name": "node", "image": "test", **({"resources": resources} if resources else {})}
    listed = [make.replicated_job(name, step=step, containers=[copy(container)]) for name, step in jobs.items()]
    return make.runtime("mpi", policy={"numNodes": 1, "mpi": policy}, jobs=listed)


def built(job: Obj, runtime: Obj) -> tuple[Obj, Obj, dict[str, Obj]]:
    """Secret, ConfigMap and the pods of each replicated job; nothing that went in is touched, the JobSet comes last."""
    before = copy(job), copy(runtime)
    components = FRAMEWORK.build(job, runtime)
    assert (job, runtime) == before
    assert [(c.resource, c.once) for c in components] == [(SECRETS, True), (CONFIG_MAPS, False), (JOB_SETS, False)]
    jobset = components[2].obj
    return components[0].obj, components[1].obj, {j["name"]: j["template"]["spec"] for j in jobset["spec"]["replicatedJobs"]}


@pytest.mark.parametrize("case", CASES["build"].values(), ids=CASES["build"])
def test_build(case: Obj) -> None:
    given = {"trainer": case["trainer"]} if "trainer" in case else {}
    job = make.stored(make.job("trainjob", runtime="mpi", **given))
    secret, config, jobs = built(job, runtime(case["jobs"], case["policy"], case.get("resources")))
    want = case["want"]
    assert {name: job["parallelism"] for name, job in jobs.items()} == {name: want[name] for name in case["jobs"]}
    assert all(job["completions"] == job["parallelism"] for job in jobs.values())
    lines = config["data"]["hostfile"].splitlines()
    assert sorted(lines) == [f"{host} slots={want['slots']}" for host in sorted(want["hosts"])]
    assert config["data"]["hostfile"].endswith("\n")
    owner = [objects.owner_reference(job)]
    assert config["metadata"] == {"name": "trainjob-mpi-hostfile", "namespace": "default", "ownerReferences": owner}
    assert secret["metadata"] == {"name": "trainjob-mpi-ssh-auth", "namespace": "default", "ownerReferences": owner}
    assert (secret["type"], secret["immutable"]) == ("kubernetes.io/ssh-auth", True)
    for name, found in jobs.items():
        pod = found["template"]["spec"]
        launches = name == "launcher"
        assert pod["volumes"] == [KEYS, HOSTS] if launches else [KEYS]
        mounts = [{"name": "mpi-ssh-auth", "mountPath": "/root/.ssh"}, {"name": "mpi-hostfile", "mountPath": "/etc/mpi"}]
        assert pod["containers"][0]["volumeMounts"] == mounts[: 2 if launches else 1]
        environment = {e["name"]: e["value"] for e in pod["containers"][0].get("env", ())}
        slots = {"OMPI_MCA_orte_set_default_slots": str(want["slots"]), "PRTE_MCA_prte_set_default_slots": str(want["slots"])}
        assert environment == ({**OPEN_MPI_4, **OPEN_MPI_5, **slots} if launches else {})


@pytest.mark.parametrize("case", CASES["validate"].values(), ids=CASES["validate"])
def test_validate(case: Obj) -> None:
    found = FRAMEWORK.validate(make.job("test", trainer=case["trainer"]), runtime(dict.fromkeys(case["jobs"], ""), case["policy"]))
    want = case.get("want")
    assert [(cause.field, cause.message) for cause in found] == ([tuple(want)] if want else [])


def test_nodes_beside_a_launcher_that_trains_get_what_the_job_says_of_nodes() -> None:
    asked = {"env": [{"name": "LR", "value": "0.1"}], "resourcesPerNode": {"limits": {"cpu": 2}}, "command": ["mpirun", "x"], "numNodes": 3}
    jobs = {"node": "", "launcher": "trainer"}
    _, _, found = built(make.stored(make.job("trainjob", trainer=asked)), runtime(jobs, {"runLauncherAsNode": True}))
    node, launcher = (found[name]["template"]["spec"]["containers"][0] for name in jobs)
    assert (node["resources"], node["env"]) == ({"limits": {"cpu": "2"}}, [{"name": "LR", "value": "0.1"}])
    assert (launcher["resources"], launcher["env"][-1]) == ({"limits": {"cpu": "2"}}, {"name": "LR", "value": "0.1"})
    assert ("command" in node, launcher["command"]) == (False, ["mpirun", "x"])
    assert found["node"]["parallelism"] == 2


def test_nodes_of_a_launcher_of_its_own_are_the_trainer() -> None:
    asked = {"env": [{"name": "LR", "value": "0.1"}], "resourcesPerNode": {"limits": {"cpu": 2}}, "image": "mine"}
    _, _, found = built(make.stored(make.job("trainjob", trainer=asked)), runtime({"launcher": "", "node": "trainer"}, {}))
    node, launcher = (found[name]["template"]["spec"]["containers"][0] for name in ("node", "launcher"))
    assert (node["image"], node["env"], node["resources"]) == ("mine", asked["env"], {"limits": {"cpu": "2"}})
    assert (launcher["image"], len(launcher["env"]), "resources" in launcher) == ("test", 9, False)


def test_another_implementation_is_told() -> None:
    with pytest.raises(PlanError, match='MPI implementation "" is not supported: set mpiImplementation to OpenMPI'):
        FRAMEWORK.build(make.stored(make.job()), runtime({"launcher": "trainer"}, {"mpiImplementation": ""}))


def test_shipped_runtimes_have_their_keys_where_their_user_looks() -> None:
    shipped = [r for r in runtimes() if "mpi" in r["spec"]["mlPolicy"]]
    assert [objects.name(r) for r in shipped] == ["deepspeed-distributed", "mlx-distributed"]
    for found in shipped:
        _, config, jobs = built(make.stored(make.job("trainjob", trainer={"numNodes": 2})), found)
        assert config["data"]["hostfile"] == "trainjob-node-0-0.trainjob slots=1\ntrainjob-launcher-0-0.trainjob slots=1\n"
        for job in jobs.values():
            mounts = job["template"]["spec"]["containers"][0]["volumeMounts"]
            assert mounts[0] == {"name": "mpi-ssh-auth", "mountPath": "/home/mpiuser/.ssh"}


def test_keys_are_made_once() -> None:
    async def scenario(s: Site) -> None:
        await s.client.create(CLUSTER_TRAINING_RUNTIMES, runtime({"node": "", "launcher": "trainer"}, {"runLauncherAsNode": True}))
        job = await s.submit(runtime="mpi", suspend=True)
        async with s.controllers():
            await s.until(s.jobset)
            secret = await s.client.get(SECRETS, "mnist-mpi-ssh-auth", "default")
            await s.patch({"spec": {"suspend": False}})
            await s.settle()
            assert await s.client.get(SECRETS, "mnist-mpi-ssh-auth", "default") == secret
        assert objects.is_controlled_by(secret, job)
        assert sorted(secret["data"]) == ["ssh-privatekey", "ssh-publickey"]
        private = base64.b64decode(secret["data"]["ssh-privatekey"])
        assert private.startswith(b"-----BEGIN EC PRIVATE KEY-----\n")
        key = load_pem_private_key(private, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP521R1)
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"
        assert base64.b64decode(secret["data"]["ssh-publickey"]) == public
        config = await s.client.get(CONFIG_MAPS, "mnist-mpi-hostfile", "default")
        assert config["data"]["hostfile"] == "mnist-node-0-0.mnist slots=1\nmnist-launcher-0-0.mnist slots=1\n"

    site.run(scenario)


async def mpi_job(s: Site, **given: Any) -> Obj:
    await s.client.create(CLUSTER_TRAINING_RUNTIMES, runtime({"node": "", "launcher": "trainer"}, {"runLauncherAsNode": True}))
    return await s.submit(runtime="mpi", **given)


async def kept(s: Site) -> list[Obj]:
    """Keys, hosts and the runtime of the job, as they are; none that is gone."""
    wanted = ((SECRETS, "mnist-mpi-ssh-auth"), (CONFIG_MAPS, "mnist-mpi-hostfile"), (CONFIG_MAPS, "mnist-runtime-snapshot"))
    found = [await s.client.get_or_none(resource, name, "default") for resource, name in wanted]
    return [obj for obj in found if obj is not None]


async def lose(s: Site) -> None:
    await s.client.delete(SECRETS, "mnist-mpi-ssh-auth", "default")
    await s.client.delete(CONFIG_MAPS, "mnist-mpi-hostfile", "default")
    await s.client.delete(CONFIG_MAPS, "mnist-runtime-snapshot", "default")


def assert_made_again(before: list[Obj], after: list[Obj]) -> None:
    """New keys, as upstream; all else says what it said."""
    assert [objects.name(obj) for obj in after] == [objects.name(obj) for obj in before]
    assert not {objects.uid(obj) for obj in after} & {objects.uid(obj) for obj in before}
    assert sorted(after[0]["data"]) == ["ssh-privatekey", "ssh-publickey"]
    assert after[0]["data"] != before[0]["data"]
    assert [obj["data"] for obj in after[1:]] == [obj["data"] for obj in before[1:]]


def test_what_a_running_job_loses_is_made_again() -> None:
    async def scenario(s: Site) -> None:
        job = await mpi_job(s)
        async with s.controllers() as manager:
            jobset = await s.until(s.jobset)
            before = await kept(s)
            for _ in range(2):  # also what was made again
                await lose(s)
                await s.settle()
                after = await kept(s)
                assert_made_again(before, after)
                assert all(objects.is_controlled_by(obj, job) for obj in after)
                before = after
            assert await s.jobset() == jobset, "its pods read the new keys where they had the old ones"
            quiet = manager.statistics()["trainjob"]["done"]
            await s.settle(600)
            assert manager.statistics()["trainjob"]["done"] == quiet
        assert await s.events() == []

    site.run(scenario)


def test_what_a_running_job_lost_while_nobody_looked_is_made_again() -> None:
    async def scenario(s: Site) -> None:
        await mpi_job(s)
        async with s.controllers():
            await s.until(s.jobset)
        before = await kept(s)
        await lose(s)
        await s.client.patch(JOB_SETS, "mnist", {"metadata": {"labels": {"touched": "1"}}}, "default")
        async with s.controllers():
            await s.settle()
            assert_made_again(before, await kept(s))

    site.run(scenario)


def test_hosts_that_somebody_changes_are_put_right() -> None:
    async def scenario(s: Site) -> None:
        await mpi_job(s)
        async with s.controllers():
            await s.until(s.jobset)
            _, hosts, _ = await kept(s)
            await s.patch({"data": {"hostfile": "elsewhere slots=9\n", "notes": "mine"}}, CONFIG_MAPS, objects.name(hosts))
            await s.settle()
            assert (await kept(s))[1]["data"] == {**hosts["data"], "notes": "mine"}

    site.run(scenario)


def test_what_a_finished_job_loses_stays_lost() -> None:
    async def scenario(s: Site) -> None:
        await mpi_job(s)
        async with s.controllers():
            await s.until(s.jobset)
            await s.report(conditions=[make.condition("Completed", "AllJobsCompleted")])
            await s.settle()
            await lose(s)
            await s.settle()
            assert await kept(s) == []

    site.run(scenario)


def test_jobs_without_mpi_have_neither() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.submit()
        async with s.controllers():
            await s.until(s.jobset)
            assert [objects.name(o) for o in (await s.client.list(SECRETS, "default")).items] == []
            assert [objects.name(o) for o in (await s.client.list(CONFIG_MAPS, "default")).items] == ["mnist-runtime-snapshot"]

    site.run(scenario)


def test_a_secret_of_somebody_else_is_left_alone() -> None:
    async def scenario(s: Site) -> None:
        await s.client.create(CLUSTER_TRAINING_RUNTIMES, runtime({"node": "", "launcher": "trainer"}, {"runLauncherAsNode": True}))
        metadata = {"name": "mnist-mpi-ssh-auth", "namespace": "default"}
        theirs = await s.client.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": "b"}})
        await s.submit(runtime="mpi")
        async with s.controllers():

            async def told() -> Any:
                return [e for e in await s.events() if e[1] == "TrainJobResourcesCreationFailed"] or None

            found = await s.until(told)
            assert 'Secret "mnist-mpi-ssh-auth" exists and is not controlled by this TrainJob' in found[0][2]
            assert await s.client.get(SECRETS, "mnist-mpi-ssh-auth", "default") == theirs
            assert await s.jobset() is None

    site.run(scenario)
