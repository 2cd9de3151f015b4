"""Upstream's own sample drivers, unmodified, beside our node: a DRA driver as a program, a device plugin as a pod."""

from pathlib import Path
from typing import Any

import pytest

from oracle import programs
from tests.platform.conftest import home  # noqa: F401 - a fixture
from tests.platform.kit import IMAGE, Home, Site, eventually

Obj = dict[str, Any]
ABSENT = programs.missing("sample-device-plugin", "dra-test-driver")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.skipif(bool(ABSENT), reason=f"`oracle/build` makes what is missing: {', '.join(ABSENT)}"),
]

CLAIMS = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
CLASSES = "/apis/resource.k8s.io/v1/deviceclasses"
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
PODS = "/api/v1/namespaces/default/pods"
DRIVER = "test-driver.cdi.k8s.io"
PRINTS = "import os; print(sorted(f'{k}={v}' for k, v in os.environ.items()), os.listdir('/tmp'))"


def pod(name: str, command: list[str], *, volumes: dict[str, str] | None = None, spec: Obj | None = None, **container: Any) -> Obj:
    """A pod of one container; `volumes` are directories of the machine, by where they are shown."""
    found = [{"name": f"v{n}", "hostPath": {"path": path}} for n, path in enumerate((volumes or {}).values())]
    mounts = [{"name": f"v{n}", "mountPath": path} for n, path in enumerate(volumes or {})]
    main = {"name": "main", "image": IMAGE, "command": command, "volumeMounts": mounts, **container}
    body = {"restartPolicy": "Never", "containers": [main], "volumes": found, **(spec or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


def node(site: Site) -> Obj:
    found: Obj = site.api.get("/api/v1/nodes")["items"][0]
    return found


def test_a_dra_driver_prepares_what_our_scheduler_allocates(home: Home, tmp_path: Path) -> None:  # noqa: F811
    site = home.up("--allow-host-path")
    name, kubelet = node(site)["metadata"]["name"], site.data / "kubelet"
    arguments = ["--kubeconfig", str(site.kubeconfig), "kubelet-plugin", "--node-name", name, "--datadir", str(kubelet / "plugins")]
    arguments += ["--plugin-registration-path", str(kubelet / "plugins_registry"), "--cdi-dir", str(site.data / "cdi")]
    (kubelet / "plugins" / DRIVER).mkdir(parents=True)
    (site.data / "cdi").mkdir()
    with programs.running("dra-test-driver", arguments, tmp_path):
        site.api.until(
            SLICES, lambda found: [s for s in found["items"] if s["spec"]["driver"] == DRIVER], "the driver tells of its devices"
        )
        expression = f'device.driver == "{DRIVER}"'
        device_class = {"metadata": {"name": "theirs"}, "spec": {"selectors": [{"cel": {"expression": expression}}]}}
        site.api.create(CLASSES, {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", **device_class})
        parameters = {"opaque": {"driver": DRIVER, "parameters": {"word": "said"}}}
        devices = {"requests": [{"name": "r", "exactly": {"deviceClassName": "theirs"}}], "config": [parameters]}
        claim = {"metadata": {"name": "c"}, "spec": {"devices": devices}}
        site.api.create(CLAIMS, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", **claim})
        asks = {"resourceClaims": [{"name": "g", "resourceClaimName": "c"}]}
        site.api.create(PODS, pod("p", ["python", "-c", PRINTS], spec=asks, resources={"claims": [{"name": "g"}]}))
        ended = site.api.phase("p", "Succeeded", "Failed")
        assert ended["status"]["phase"] == "Succeeded"
        assert "'user_word=said'" in site.api.log("p")
        status = ended["status"]["containerStatuses"][0]["allocatedResourcesStatus"]
        assert status[0]["name"] == "claim:g"
        eventually(lambda: not list((site.data / "cdi").iterdir()), "the driver has given the claim back")


def test_a_device_plugin_in_a_pod(home: Home) -> None:  # noqa: F811
    site = home.up("--allow-host-path")
    plugin = {"/var/lib/kubelet/device-plugins": "/var/lib/kubelet/device-plugins", "/there": str(programs.folder().resolve())}
    site.api.create(PODS, pod("plugin", ["/there/sample-device-plugin"], volumes=plugin))
    resource = "example.com/resource"
    eventually(lambda: node(site)["status"]["allocatable"].get(resource) == "2", "the plugin's devices are offered")
    ends = ["python", "-c", "import signal; signal.pause()"]
    site.api.create(PODS, pod("p", ends, resources={"limits": {resource: "1"}}))
    running = site.api.phase("p", "Running", "Failed")
    given = running["status"]["containerStatuses"][0]["allocatedResourcesStatus"]
    assert given[0]["name"] == resource
    assert given[0]["resources"][0]["resourceID"] in ("Dev-1", "Dev-2")
    assert given[0]["resources"][0]["health"] == "Healthy"
    site.api.delete(f"{PODS}/plugin")
    eventually(lambda: node(site)["status"]["allocatable"].get(resource) == "0", "without its plugin a device is of no use")
