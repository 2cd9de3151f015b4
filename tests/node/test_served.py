"""Images of servers and tools: what pods with them do, with the programs of this machine behind them.

Skipped, with the reason, where the program is not installed; continuous integration installs them all.
"""

from collections.abc import Iterator

import pytest

from lightship.node.images import programs
from lightship.node.runtimes.probe import probe
from lightship.testing import cluster

from .test_end_to_end import Site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    if not (found := probe()).sandbox:
        pytest.skip(found.reason)
    with cluster(runtime="sandbox") as running:
        yield Site(running, "sandbox")


def needs(**packages: str) -> None:
    absent = programs.missing(packages)
    if absent:
        pytest.skip(absent)


@pytest.mark.parametrize(
    ("image", "program", "package", "want"),
    [
        ("nginx:1.27", "nginx", "nginx-light", "Welcome to nginx!"),
        ("registry.k8s.io/e2e-test-images/nginx:1.15-4", "nginx", "nginx-light", "Welcome to nginx!"),
        ("httpd:2.4", "apache2", "apache2-bin", "It works!"),
    ],
)
def test_servers_serve_their_page(site: Site, image: str, program: str, package: str, want: str) -> None:
    needs(**{program: package})
    name = "server-" + image.rpartition("/")[2].partition(":")[0] + str(len(image))
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}
    site.start(name, "", image=image, command=[], readinessProbe=probe)
    address = site.running(name)["status"]["podIP"]
    fetch = f"until python3 -c 'import urllib.request as u; print(u.urlopen(\"http://{address}/\").read().decode())'; do sleep 0.1; done"
    site.start(f"{name}-asks", fetch)
    site.ended(f"{name}-asks")
    assert want in site.log(f"{name}-asks")
    site.delete(name)


def test_a_page_of_a_volume_takes_the_place_of_the_images(site: Site) -> None:
    needs(nginx="nginx-light")
    site.create("ConfigMap", "pages", data={"index.html": "ours"})
    volumes = [{"name": "pages", "configMap": {"name": "pages"}}]
    mount = [{"name": "pages", "mountPath": "/usr/share/nginx/html"}]
    site.start("pages", "", image="nginx", command=[], volumeMounts=mount, spec={"volumes": volumes})
    address = site.running("pages")["status"]["podIP"]
    fetch = f"until python3 -c 'import urllib.request as u; print(u.urlopen(\"http://{address}/\").read().decode())'; do sleep 0.1; done"
    site.start("pages-asks", fetch)
    site.ended("pages-asks")
    assert "ours" in site.log("pages-asks")
    site.delete("pages")


def test_busybox_is_its_own_shell(site: Site) -> None:
    needs(busybox="busybox")
    script = "echo x > /x; wget --help 2>&1 | head -1; python3 -c 'print(6 * 7)'"
    fixed = {"readOnlyRootFilesystem": True}
    site.start("busy", "", image="busybox:1.37", command=["/bin/sh", "-c", script], securityContext=fixed)
    site.ended("busy")
    first, second, third = site.log("busy").splitlines()
    assert first == "/bin/sh: can't create /x: Read-only file system"
    assert second.startswith("BusyBox v")
    assert third == "42", "what an environment brings is there too"


def test_an_image_that_runs_as_somebody(site: Site) -> None:
    site.start("nonroot", "", image="registry.k8s.io/e2e-test-images/nonroot:1.5", command=["id", "-u"])
    site.ended("nonroot")
    assert site.log("nonroot") == "1234\n"


def test_an_image_volume(site: Site) -> None:
    needs(apache2="apache2-bin")
    volumes = [{"name": "pages", "image": {"reference": "httpd:2.4"}}]
    mounts = [{"name": "pages", "mountPath": "/image"}]
    script = "cat /image/usr/local/apache2/htdocs/index.html; touch /image/x || echo refused"
    site.start("shows", script, volumeMounts=mounts, spec={"volumes": volumes})
    site.ended("shows")
    assert "It works!" in site.log("shows")
    assert "refused" in site.log("shows")


def test_the_node_lists_what_it_has(site: Site) -> None:
    site.start("listed", "", image="docker.io/library/debian:12", command=["true"])
    site.ended("listed")
    assert "docker.io/library/debian:12" in site.image_names("docker.io/library/debian:12")
