"""What docs/pods.md promises of pods, on the whole platform with real processes, in both runtimes; `test_without_root` has them again as
somebody else.

Streams (exec, attach, terminals, port-forward) are in `streams_contract`, limits in `limits_contract`, services and policies in
`test_network_end_to_end` and `test_pod_network`: each of them in its tiers, too. Real time; every wait is for a condition.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lightship import kinds
from lightship.aio.streams import closing
from lightship.meta import conditions
from lightship.meta.objects import Obj
from lightship.meta.rest import STRATEGIC_MERGE_PATCH, DeleteOptions, LogOptions, WatchOptions
from lightship.node.runtimes.probe import probe
from lightship.testing import cluster

from . import test_end_to_end
from .make import container

pytestmark = pytest.mark.slow
SHARED: Obj = {"volumes": [{"name": "d", "emptyDir": {}}]}
MOUNT: Obj = {"name": "d", "mountPath": "/shared"}
SERVE = """
import http.server, os
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists(os.environ["READY"]) else 503); self.end_headers()
    def log_message(self, *words): pass
print("serving", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Page).serve_forever()
"""


class Site(test_end_to_end.Site):
    def clear(self) -> None:
        """Nothing of an earlier try is in the way."""
        for resource in (kinds.PODS, kinds.PERSISTENT_VOLUME_CLAIMS, kinds.CONFIG_MAPS, kinds.SECRETS):
            at_once = DeleteOptions(grace_period_seconds=0)
            others = "metadata.name!=kube-root-ca.crt"
            self._cluster.run(self._client.delete_collection(resource, "default", fields=others, options=at_once))

    def until(self, name: str, holds: Callable[[Obj], Any]) -> Obj:
        """The pod, as soon as that holds of it."""

        async def wait() -> Obj:
            options = WatchOptions(field_selector=f"metadata.name={name}")
            async with asyncio.timeout(50), closing(self._client.watch(kinds.PODS, "default", options)) as events:
                async for event in events:
                    if event.type != "BOOKMARK" and holds(event.object):
                        return event.object
            raise AssertionError("the watch ended")

        return self._cluster.run(wait())

    def change(self, name: str, patch: Obj, subresource: str = "", resource: Any = kinds.PODS) -> Obj:
        kind = STRATEGIC_MERGE_PATCH
        return self._cluster.run(self._client.patch(resource, name, patch, "default", type=kind, subresource=subresource))

    def event(self, name: str, reason: str, words: str) -> None:
        """Until that is told of a pod."""

        async def wait() -> None:
            options = WatchOptions(field_selector=f"involvedObject.name={name},reason={reason}")
            async with asyncio.timeout(50), closing(self._client.watch(kinds.EVENTS, "default", options)) as events:
                async for event in events:
                    if event.type != "BOOKMARK" and words in event.object["message"]:
                        return

        self._cluster.run(wait())

    def says(self, name: str, wanted: str) -> str:
        """Its log until something is in it."""

        async def read() -> str:
            text = ""
            options = LogOptions(follow=True, container="main")
            async with asyncio.timeout(50), closing(self._client.logs("default", name, options)) as log:
                async for chunk in log:
                    text += chunk.decode()
                    if wanted in text:
                        return text
            raise AssertionError(f"it said only {text!r}")

        self.until(name, lambda pod: pod["status"].get("phase") in ("Running", "Succeeded", "Failed"))
        return self._cluster.run(read())


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    yield running
    running.clear()


@pytest.fixture(scope="module", params=["sandbox", "process"])
def running(request: pytest.FixtureRequest) -> Iterator[Site]:
    if request.param == "sandbox" and not (able := probe()).sandbox:
        pytest.skip(able.reason)
    with cluster(runtime=request.param) as found:
        yield Site(found, request.param)


def first(pod: Obj) -> Obj:
    """What is told of its first container; empty before that is known."""
    statuses: list[Obj] = pod["status"].get("containerStatuses") or [{}]
    return statuses[0]


def test_inits_sidecars_hooks_and_restarts(site: Site) -> None:
    """The main container fails once; a sidecar starts before and ends after it; hooks are run beside it."""
    side = container(
        "side",
        command=["sh", "-c", "trap 'exit 0' TERM; touch /shared/side; while :; do sleep 0.05; done"],
        restartPolicy="Always",
        startupProbe={"exec": {"command": ["sh", "-c", "test -e /shared/side"]}, "periodSeconds": 1, "failureThreshold": 60},
        volumeMounts=[MOUNT],
    )
    first_of_all = container("first", command=["sh", "-c", "echo made > /shared/init"], volumeMounts=[MOUNT])
    script = """
        cat /shared/init; test -e /shared/side && echo beside
        while ! test -e /shared/hook; do sleep 0.05; done; echo hooked
        test -e /shared/again && exit 0; touch /shared/again; exit 5
    """
    site.start(
        "life",
        script,
        volumeMounts=[MOUNT],
        lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "touch /shared/hook"]}}},
        spec={
            **SHARED,
            "initContainers": [first_of_all, side],
            "restartPolicy": "OnFailure",
        },
    )
    found = site.ended("life")
    main = first(found)
    assert (found["status"]["phase"], main["restartCount"], main["lastState"]["terminated"]["exitCode"]) == ("Succeeded", 1, 5)
    assert site.log("life", container="main").split() == ["made", "beside", "hooked"]
    inits = {status["name"]: status["state"]["terminated"] for status in found["status"]["initContainerStatuses"]}
    assert inits["first"]["exitCode"] == 0
    assert inits["side"]["finishedAt"] >= main["state"]["terminated"]["finishedAt"]


def test_a_hook_comes_before_the_end(site: Site) -> None:
    script = "trap 'test -e /shared/stopping && echo told; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    stop = {"preStop": {"exec": {"command": ["sh", "-c", "touch /shared/stopping"]}}}
    site.start("stopped", script, volumeMounts=[MOUNT], lifecycle=stop, spec=SHARED)
    site.says("stopped", "up")
    site.change("stopped", {"spec": {"activeDeadlineSeconds": 1}})
    found = site.until("stopped", lambda pod: pod["status"].get("phase") == "Failed" and "terminated" in first(pod)["state"])
    assert found["status"]["reason"] == "DeadlineExceeded"
    assert "told" in site.log("stopped")


def test_the_last_words_are_the_message(site: Site) -> None:
    site.start("words", "echo the reason; exit 1", terminationMessagePolicy="FallbackToLogsOnError")
    assert first(site.ended("words"))["state"]["terminated"]["message"] == "the reason\n"


def test_probes_of_every_kind(site: Site) -> None:
    """Started by a command, ready by HTTP, alive by TCP: and when it is not, it is started again."""
    ports = [{"name": "http", "containerPort": 8123}]
    env = [{"name": "PORT", "value": "8123"}, {"name": "READY", "value": "/shared/ready"}]
    site.start(
        "probed",
        "",
        command=["python", "-c", SERVE],
        env=env,
        ports=ports,
        volumeMounts=[MOUNT],
        startupProbe={"exec": {"command": ["sh", "-c", "touch /shared/started"]}, "periodSeconds": 1, "failureThreshold": 60},
        readinessProbe={"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        livenessProbe={"tcpSocket": {"port": "http"}, "periodSeconds": 1, "failureThreshold": 30},
        spec={**SHARED, "terminationGracePeriodSeconds": 1},
    )
    site.says("probed", "serving")
    assert not conditions.is_true(site.running("probed"), "Ready")
    maker = container("maker", command=["sh", "-c", "touch /shared/ready; exec sleep 1000"], volumeMounts=[MOUNT])
    site.change("probed", {"spec": {"ephemeralContainers": [maker]}}, "ephemeralcontainers")
    site.until("probed", lambda pod: conditions.is_true(pod, "Ready"))
    site.start(
        "deaf",
        "echo up; exec sleep 1000",
        ports=ports,
        livenessProbe={"tcpSocket": {"port": "http"}, "periodSeconds": 1, "failureThreshold": 1},
        spec={"restartPolicy": "Always", "terminationGracePeriodSeconds": 1},
    )
    site.until("deaf", lambda pod: first(pod).get("restartCount", 0) >= 1)
    assert {"Unhealthy", "Killing"} <= set(site.events())
    for name in ("probed", "deaf"):
        site.delete(name)


def test_volumes_of_every_kind_and_what_changes_in_them(site: Site) -> None:
    site.create("ConfigMap", "live", data={"color": "red"})
    site.create("Secret", "hidden", stringData={"key": "secret"})
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    site._cluster.run(site._client.create(kinds.PERSISTENT_VOLUME_CLAIMS, claim))
    label = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    volumes = [
        {"name": "live", "configMap": {"name": "live"}},
        {"name": "hidden", "secret": {"secretName": "hidden", "defaultMode": 0o440}},
        {"name": "about", "downwardAPI": {"items": [label]}},
        {"name": "all", "projected": {"sources": [{"configMap": {"name": "live"}}, {"downwardAPI": {"items": [label]}}]}},
        {"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}},
        {"name": "d", "emptyDir": {}},
    ]
    places = {"live": "/vol/live", "hidden": "/vol/hidden", "about": "/vol/about", "all": "/vol/all", "kept": "/vol/kept"}
    script = """
        cat /vol/hidden/key; echo; stat -L -c %a /vol/hidden/key
        cat /vol/about/labels /vol/all/labels; echo
        echo kept > /vol/kept/f; cat /vol/kept/f; echo sub > /vol/sub/f; echo "on $NODE with $LIMIT"
        echo begun; while grep -q red /vol/live/color; do sleep 0.05; done; cat /vol/live/color
    """
    site.start(
        "volumes-all",
        script,
        volumeMounts=[
            *({"name": name, "mountPath": path} for name, path in places.items()),
            {"name": "d", "mountPath": "/vol/sub", "subPath": "a/b"},
        ],
        env=[
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ],
        resources={"limits": {"memory": "256Mi"}},
        meta={"labels": {"app": "volumes"}},
        spec={"volumes": volumes},
    )
    site.says("volumes-all", "begun")
    site.change("live", {"data": {"color": "green"}}, resource=kinds.CONFIG_MAPS)
    found = site.ended("volumes-all")
    lines = [line.strip() for line in site.log("volumes-all").splitlines() if line.strip()]
    assert lines[:3] == ["secret", "440", 'app="volumes"app="volumes"'], lines
    assert lines[-1] == "green"
    assert "kept" in lines
    assert f"on {found['spec']['nodeName']} with 256" in lines
    site.start("reader", "cat /vol/kept/f", volumeMounts=[{"name": "kept", "mountPath": "/vol/kept"}], spec={"volumes": [volumes[4]]})
    assert site.ended("reader")["status"]["phase"] == "Succeeded"
    assert site.log("reader") == "kept\n"


def test_paths_of_the_machine_are_refused_unless_allowed(site: Site) -> None:
    volumes = [{"name": "h", "hostPath": {"path": "/etc"}}]
    site.start("host", "true", spec={"volumes": volumes}, volumeMounts=[{"name": "h", "mountPath": "/h"}])
    site.event("host", "FailedMount", "hostPath /etc is not allowed on this node")
    site.delete("host")


def test_limits_of_what_runs_are_changed_and_told(site: Site) -> None:
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
    site.start("resized", "echo up; exec sleep 1000", resources=resources, spec={"terminationGracePeriodSeconds": 1})
    site.says("resized", "up")
    wanted = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "300Mi"}}
    site.change("resized", {"spec": {"containers": [{"name": "main", "resources": wanted}]}}, "resize")
    found = site.until("resized", lambda pod: first(pod).get("resources", {}).get("limits", {}).get("memory") == "300Mi")
    assert first(found)["resources"]["limits"]["cpu"] == "1"
    assert first(found)["restartCount"] == 0
    assert site.measured("resized")["containers"][0]["name"] == "main"
    site.delete("resized")


def test_who_a_pod_is_and_what_it_may_write(site: Site) -> None:
    """In sandboxes of both tiers; host mode has the user of the platform, and the machine's files as they are."""
    if site.runtime != "sandbox":
        site.start("self", "id -u", securityContext={"runAsUser": os.geteuid()})
        assert site.ended("self")["status"]["phase"] == "Succeeded"
        assert site.log("self") == f"{os.geteuid()}\n"
        return
    script = "id -u; id -g; (touch /usr/bin/x || touch /x) 2>/dev/null && echo written; grep CapEff /proc/self/status"
    none = {"capabilities": {"drop": ["ALL"]}, "runAsUser": 1234, "runAsGroup": 4321}
    site.start("closed", script, securityContext={**none, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False})
    assert site.ended("closed")["status"]["phase"] == "Succeeded"
    assert site.log("closed").split() == ["1234", "4321", "CapEff:", "0" * 16]
    site.start("open", "touch /x /etc/x && mkdir /made && echo written; hostname", spec={"hostname": "somebody"})
    site.ended("open")
    assert site.log("open").split() == ["written", "somebody"]
