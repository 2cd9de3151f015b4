"""Pods on the whole platform in containers of a real podman: what a user of `lightship up --runtime podman` sees.

Real time, since real containers run; every wait is for a condition.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.testing import cluster

from .engines import IMAGE, podman
from .make import container
from .test_end_to_end import Site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with podman() as service, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{service.socket}")
        with cluster(runtime="podman") as running:
            yield Site(running, "podman")


def start(site: Site, name: str, script: str, **extra: Any) -> Obj:
    return site.start(name, script, image=IMAGE, **{"imagePullPolicy": "IfNotPresent", **extra})


def test_output_exit_code_and_message(site: Site) -> None:
    start(site, "exit", "echo out; echo err >&2; hostname; echo why > $0; exit 3", terminationMessagePath="/tmp/why", args=["/tmp/why"])
    found = site.ended("exit")
    status = found["status"]["containerStatuses"][0]
    ended = status["state"]["terminated"]
    assert (found["status"]["phase"], ended["exitCode"], ended["reason"], ended["message"]) == ("Failed", 3, "Error", "why\n")
    assert sorted(site.log("exit").split()) == ["err", "exit", "out"]


def test_volumes_at_their_paths_shared_with_an_init_container(site: Site) -> None:
    site.create("ConfigMap", "settings", data={"color": "blue"})
    mounts = [{"name": "c", "mountPath": "/etc/settings"}, {"name": "d", "mountPath": "/data"}]
    init = container("init", image=IMAGE, command=["sh", "-c", "echo made > /data/f"], volumeMounts=mounts)
    volumes = [{"name": "c", "configMap": {"name": "settings"}}, {"name": "d", "emptyDir": {}}]
    start(
        site,
        "volumes",
        "cat /etc/settings/color /data/f; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace",
        volumeMounts=mounts,
        spec={"initContainers": [init], "volumes": volumes},
    )
    assert site.ended("volumes")["status"]["phase"] == "Succeeded", site.log("volumes")
    assert site.log("volumes") == "bluemade\ndefault"


def test_a_pod_is_reached_by_the_name_of_its_service(site: Site) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    serve = "mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"
    start(site, "web", serve, readinessProbe=probe, meta={"labels": {"app": "web"}}, spec={"terminationGracePeriodSeconds": 1})
    site.create("Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]})
    start(site, "asks", "until wget -q -O - http://web 2>/dev/null; do sleep 0.1; done")
    assert site.ended("asks")["status"]["phase"] == "Succeeded"
    assert site.log("asks") == "hello\n"
    site.delete("web")


def test_too_much_memory_and_images_that_are_not_there(site: Site) -> None:
    start(site, "eater", "exec tail /dev/zero", resources={"limits": {"memory": "32Mi"}})
    ended = site.ended("eater")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    start(
        site, "absent", "true", imagePullPolicy="Never", spec={"containers": [container(image="localhost/none:1", imagePullPolicy="Never")]}
    )
    assert "not present with pull policy of Never" in site.message_of("ErrImageNeverPull")


def test_a_container_that_fails_is_restarted(site: Site) -> None:
    mounts = [{"name": "d", "mountPath": "/data"}]
    script = "test -e /data/f && exit 0; touch /data/f; exit 1"
    spec = {"restartPolicy": "OnFailure", "volumes": [{"name": "d", "emptyDir": {}}]}
    start(site, "again", script.replace("touch", "echo >"), volumeMounts=mounts, spec=spec)
    found = site.ended("again")
    assert (found["status"]["phase"], found["status"]["containerStatuses"][0]["restartCount"]) == ("Succeeded", 1)


def test_nobody_is_the_machine_s_own_unasked(site: Site) -> None:
    start(site, "root", "true", securityContext={"privileged": True})
    assert "privileged would be this machine's own" in site.message_of("Failed", about="root")
