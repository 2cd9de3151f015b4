"""The helper process that owns the pod network is killed: the platform begins anew by itself, and nothing that it promised is lost."""

import os
import signal
import uuid
from pathlib import Path

import pytest

from lightship.node.runtimes.probe import probe

from .kit import CONFIG_MAPS, PODS, Home, Obj, config_map, eventually, marked

pytestmark = pytest.mark.slow


def launcher_of(word: str) -> int:
    """The outermost helper process above the container that has `word` on its command line."""
    chain = [process.pid for process in marked(word)]
    helpers = [pid for pid in chain if b"launcher.main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return helpers[-1]


def test_a_platform_whose_pod_network_dies_begins_anew(home: Home) -> None:
    if not (abilities := probe()).sandbox:
        pytest.skip(abilities.reason)
    site = home.up()
    word = f"mark-{uuid.uuid4().hex}"
    site.api.create(CONFIG_MAPS, config_map("kept", a="1"))
    site.api.run("keeps", f": {word}; sleep 1000", restartPolicy="Always")
    site.api.run("ends", "sleep 1000", restartPolicy="Never")
    for name in ("keeps", "ends"):
        site.api.phase(name, "Running")
    os.kill(launcher_of(word), signal.SIGKILL)

    def restarted() -> bool:
        try:
            pod: Obj = site.api.get(f"{PODS}/keeps")
        except OSError:
            return False  # it is between its lives
        found = pod["status"]["containerStatuses"][0]
        return bool(found["restartCount"] and found["ready"])

    eventually(restarted, "the pod runs again, in a new network", lambda: (site.data / "lightship.log").read_text()[-3000:], seconds=20)
    ended = site.api.phase("ends", "Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 137
    status = home.status()
    assert (status["pid"], status["api"], status["ready"]) == (site.pid, site.url, True), "the same process at the same address"
    assert site.api.get(f"{CONFIG_MAPS}/kept")["data"] == {"a": "1"}
