"""Pods on the whole platform with real processes, in both runtimes: what a user of a node sees.

Real time, since real processes run; every wait is for a condition, and most are over in a tenth of a second.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from lightship import kinds
from lightship.aio.streams import closing
from lightship.kinds import metrics
from lightship.meta import errors, objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions, WatchOptions
from lightship.node.runtimes.probe import probe
from lightship.testing import Cluster, cluster

from .make import container

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["sandbox", "process"])
def site(request: pytest.FixtureRequest) -> Iterator["Site"]:
    if request.param == "sandbox" and not (found := probe()).sandbox:
        pytest.skip(found.reason)
    with cluster(runtime=request.param) as running:
        yield Site(running, request.param)


class Site:
    """A cluster, with the few things these tests do to it, for synchronous tests."""

    def __init__(self, running: Cluster, runtime: str) -> None:
        self._cluster = running
        self._client = running.client
        self.runtime = runtime

    def create(self, kind: str, name: str, **body: Any) -> Obj:
        resource = {"ConfigMap": kinds.CONFIG_MAPS, "Secret": kinds.SECRETS, "Service": kinds.SERVICES}[kind]
        obj = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, **body}
        return self._cluster.run(self._client.create(resource, obj))

    def start(self, name: str, script: str, *, meta: Obj | None = None, spec: Obj | None = None, **container_spec: Any) -> Obj:
        body = container(**{"command": ["sh", "-c", script], **container_spec})
        obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", **(meta or {})},
            "spec": {"containers": [body], "restartPolicy": "Never", **(spec or {})},
        }
        try:
            return self._cluster.run(self._client.create(kinds.PODS, obj))
        except StatusError as error:
            if not errors.is_already_exists(error):
                raise
            self.delete(name)  # a second try of a test: what made the first one fail is to be seen again, not its pod
            return self._cluster.run(self._client.create(kinds.PODS, obj))

    def ended(self, name: str) -> Obj:
        return self._until(name, ("Succeeded", "Failed"))

    def running(self, name: str) -> Obj:
        return self._until(name, ("Running",))

    def _until(self, name: str, phases: tuple[str, ...]) -> Obj:
        async def wait() -> Obj:
            options = WatchOptions(field_selector=f"metadata.name={name}")
            async with asyncio.timeout(30), closing(self._client.watch(kinds.PODS, "default", options)) as events:
                async for event in events:
                    if event.type != "BOOKMARK" and objects.status(event.object).get("phase") in phases:
                        return event.object
            raise AssertionError("the watch ended")

        return self._cluster.run(wait())

    def image_names(self, wanted: str) -> set[str]:
        """The images that the node lists, as soon as `wanted` is one of them."""

        async def wait() -> set[str]:
            async with asyncio.timeout(30), closing(self._client.watch(kinds.NODES, "", WatchOptions())) as events:
                async for event in events:
                    names = {name for image in objects.status(event.object).get("images") or () for name in image["names"]}
                    if wanted in names:
                        return names
            raise AssertionError("the watch ended")

        return self._cluster.run(wait())

    def log(self, name: str, **options: Any) -> str:
        async def read() -> str:
            return b"".join([chunk async for chunk in self._client.logs("default", name, LogOptions(**options))]).decode()

        return self._cluster.run(read())

    def delete(self, name: str) -> None:
        async def gone() -> None:
            options = WatchOptions(field_selector=f"metadata.name={name}")
            async with asyncio.timeout(30), closing(self._client.watch(kinds.PODS, "default", options)) as events:
                await self._client.delete(kinds.PODS, name, "default")
                async for event in events:
                    if event.type == "DELETED":
                        return

        self._cluster.run(gone())

    def measured(self, name: str) -> Obj:
        return self._cluster.run(self._client.get(metrics.POD_METRICS, name, "default"))

    def message_of(self, reason: str, about: str = "") -> str:
        """The message of the first event with this reason, as soon as there is one."""

        async def wait() -> str:
            async with asyncio.timeout(30), closing(self._client.watch(kinds.EVENTS, "default", WatchOptions())) as events:
                async for event in events:
                    found = event.object
                    if found.get("reason") == reason and about in ("", found["involvedObject"]["name"]):
                        return str(found["message"])
            raise AssertionError("the watch ended")

        return self._cluster.run(wait())

    def endpoint_of(self, service: str) -> Obj:
        """The first endpoint that is told of a Service, as soon as there is one."""

        async def wait() -> Obj:
            options = WatchOptions(label_selector=f"kubernetes.io/service-name={service}")
            async with asyncio.timeout(30), closing(self._client.watch(kinds.ENDPOINT_SLICES, "default", options)) as events:
                async for event in events:
                    if event.type != "BOOKMARK" and event.object.get("endpoints"):
                        return dict(event.object["endpoints"][0])
            raise AssertionError("the watch ended")

        return self._cluster.run(wait())

    def events(self) -> list[str]:
        return [e["reason"] for e in self._cluster.run(self._client.list(kinds.EVENTS, "default")).items]


def test_output_exit_code_and_message(site: Site) -> None:
    site.start("exit", "echo out; echo err >&2; echo why > $0; exit 3", terminationMessagePath="/tmp/why", args=["/tmp/why"])
    found = site.ended("exit")
    ended = found["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (found["status"]["phase"], ended["exitCode"], ended["reason"], ended["message"]) == ("Failed", 3, "Error", "why\n")
    assert sorted(site.log("exit").splitlines()) == ["err", "out"]


def test_volumes_and_token_at_their_paths(site: Site) -> None:
    site.create("ConfigMap", "settings", data={"color": "blue"})
    site.start(
        "volumes",
        "cat /etc/settings/color; echo; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo; "
        "test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token; echo x > /data/f && cat /data/f",
        volumeMounts=[{"name": "c", "mountPath": "/etc/settings"}, {"name": "d", "mountPath": "/data"}],
        spec={"volumes": [{"name": "c", "configMap": {"name": "settings"}}, {"name": "d", "emptyDir": {}}]},
    )
    assert site.ended("volumes")["status"]["phase"] == "Succeeded", site.log("volumes")
    assert site.log("volumes").split() == ["blue", "default", "token", "x"]


def test_a_volume_shared_with_an_init_container(site: Site) -> None:
    mounts = [{"name": "d", "mountPath": "/shared"}]
    init = container("init", command=["sh", "-c", "echo made > /shared/f"], volumeMounts=mounts)
    site.start("inits", "cat /shared/f", volumeMounts=mounts, spec={"initContainers": [init], "volumes": [{"name": "d", "emptyDir": {}}]})
    assert site.ended("inits")["status"]["phase"] == "Succeeded"
    assert site.log("inits") == "made\n"


def test_python_and_pip_are_those_of_the_environment(site: Site) -> None:
    site.start("python", "python -c 'import msgspec; print(msgspec.__name__)' && pip --version")
    site.ended("python")
    lines = site.log("python").splitlines()
    assert lines[0] == "msgspec"
    assert lines[1].startswith("pip ")


def test_a_program_that_is_not_there(site: Site) -> None:
    site.start("missing", "", command=["no-such-program"])
    ended = site.ended("missing")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (127, "StartError")
    assert "no-such-program" in ended["message"]


def test_following_a_log_to_its_end(site: Site) -> None:
    site.start("lines", "for i in 1 2 3; do echo $i; sleep 0.05; done")
    site.running("lines")
    assert site.log("lines", follow=True) == "1\n2\n3\n"


def test_deletion_ends_the_processes(site: Site) -> None:
    site.start("stays", "trap 'echo bye; exit 0' TERM; echo up; while true; do sleep 0.05; done")
    site.running("stays")
    site.delete("stays")
    assert "Killing" in site.events()


TALK = """
import os, socket, threading
if os.environ["RANK"] == "0":
    s = socket.create_server(("0.0.0.0", int(os.environ["MASTER_PORT"])))
    c, _ = s.accept()
    print(c.makefile().readline().strip())
else:
    for _ in range(200):
        try:
            c = socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), 5)
            break
        except OSError:
            threading.Event().wait(0.05)
    c.sendall(f"hello from {os.environ['RANK']} of {os.environ['JOB']}\\n".encode())
"""


def test_two_jobs_talk_by_name_on_one_port(site: Site) -> None:
    """What distributed training does: ranks find the first by `<pod>.<job>`, and two jobs use the same port without meeting."""
    for job in ("one", "two"):
        site.create("Service", job, spec={"clusterIP": "None", "selector": {"job": job}, "publishNotReadyAddresses": True})
        for rank in (1, 0):
            env = {"RANK": str(rank), "JOB": job, "MASTER_ADDR": f"{job}-0.{job}", "MASTER_PORT": "29500"}
            site.start(
                f"{job}-{rank}",
                "",
                command=["python", "-c", TALK],
                env=[{"name": k, "value": v} for k, v in env.items()],
                ports=[{"containerPort": 29500}],
                meta={"labels": {"job": job}},
                spec={"hostname": f"{job}-{rank}", "subdomain": job},
            )
    for job in ("one", "two"):
        assert site.ended(f"{job}-0")["status"]["phase"] == "Succeeded"
        assert site.log(f"{job}-0") == f"hello from 1 of {job}\n"


def test_a_service_tells_the_addresses_of_its_pods(site: Site) -> None:
    site.create("Service", "lone", spec={"clusterIP": "None", "selector": {"job": "lone"}})
    site.start("lone-0", "sleep 60", meta={"labels": {"job": "lone"}}, spec={"hostname": "lone-0", "subdomain": "lone"})
    found, address = site.endpoint_of("lone"), site.running("lone-0")["status"]["podIP"]
    site.delete("lone-0")
    assert (found["addresses"], found["hostname"], found["targetRef"]["name"]) == ([address], "lone-0", "lone-0")


def test_hardware_addresses_go_with_addresses(site: Site) -> None:
    """The gateway's never changes while pods come and go, and a new pod at an old address is found: both were learnt by others before."""
    if site.runtime != "sandbox":
        pytest.skip("no network of its own in host mode")
    site.start(
        "macs", "python -c 'import socket; socket.gethostbyname(\"kubernetes.default\")'; cat /sys/class/net/eth0/address /proc/net/arp"
    )
    address = site.ended("macs")["status"]["podIP"]
    own, *table = site.log("macs").splitlines()
    assert own == "0a:58:" + ":".join(f"{int(part):02x}" for part in address.split("."))
    gateway = next(line for line in table if line.startswith("10.244.0.1 "))
    assert "0a:58:0a:f4:00:01" in gateway


def test_pods_that_take_too_much_end_and_others_live_on(site: Site) -> None:
    site.start("honest", "exec sleep 1000", spec={"terminationGracePeriodSeconds": 1})
    site.running("honest")
    site.start("hog", "x=aaaaaaaa; while :; do x=$x$x; done", resources={"limits": {"memory": "64Mi", "cpu": "1"}})
    mounts = [{"name": "v", "mountPath": "/data"}]
    volumes = {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]}
    site.start("filler", "head -c 3000000 /dev/zero > /data/x; exec sleep 1000", spec=volumes, volumeMounts=mounts)
    ended = site.ended("hog")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    status = site.ended("filler")["status"]
    assert (status["reason"], status["message"]) == ("Evicted", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ')
    assert [c["name"] for c in site.measured("honest")["containers"]] == ["main"]
    assert site.running("honest")["status"]["containerStatuses"][0]["restartCount"] == 0
    site.delete("honest")
