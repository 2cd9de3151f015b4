"""client-go and controller-runtime as clients: each part of `oracle/clients` holds on our server as it does on the real one."""

import subprocess
from collections.abc import Iterator

import pytest

from oracle import programs, servers
from tests.upstream.marked import marks

PARTS = ("typed", "dynamic", "informers", "election", "discovery", "apply", "errors", "protobuf", "manager")
SECONDS = 60

pytestmark = marks("clients")


@pytest.fixture(scope="module", params=[servers.OURS, servers.REAL])
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    """Nobody but the clients changes anything: the real one has no controllers either."""
    with programs.workplace() as directory, servers.started(request.param, directory, controllers="none") as found:
        yield found


@pytest.mark.parametrize("part", PARTS)
def test_part(server: servers.Server, part: str) -> None:
    command = [str(programs.folder() / "clients"), "-kubeconfig", str(server.kubeconfig), "-timeout", f"{SECONDS}s", part]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("OK ") > 0
