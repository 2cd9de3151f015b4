"""Schemathesis over our own OpenAPI v3 documents: whatever they allow, or nearly allow, is answered without a failure.

Kubernetes' documents declare 200, 201, 202 and 401 alone, and leave all other refusals out; so what is held here is that none is a 5xx.
`LIGHTSHIP_FUZZ_SECONDS` gives each document more time than the few seconds of an ordinary run.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.hostile.attack import PATIENCE, Target, target
from tests.hostile.test_bombs import MOST_HELD

SECONDS = int(os.environ.get("LIGHTSHIP_FUZZ_SECONDS", "5"))
DOCUMENTS = ("api/v1", "apis/apps/v1", "apis/rbac.authorization.k8s.io/v1", "apis/apiextensions.k8s.io/v1")
_FAILED = 1
"""What the program ends with when it has found something."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")]


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with target() as found:
        yield found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_that_the_documents_offer_fails(server: Target, document: str, tmp_path: Path) -> None:
    address = f"https://127.0.0.1:{server.port}"
    shown = server.ask("GET", f"/openapi/v3/{document}")
    assert shown.code == 200
    (tmp_path / "openapi.json").write_bytes(shown.body)
    words = ["run", "openapi.json", "--url", address, "--tls-verify", "false", "--header", "Authorization: Bearer admin-token"]
    words += ["--checks", "not_a_server_error", "--phases", "fuzzing", "--max-time", str(SECONDS), "--max-examples", "5", "--seed", "1"]
    # What ends never (watches, logs that are followed) is no answer to wait for; exec and its like lead to nodes, of which there are none.
    words += [
        "--exclude-path-regex",
        "/watch|/log$|/exec$|/attach$|/portforward$|/proxy",
        "--no-shrink",
        "--no-color",
        "--request-timeout",
        str(PATIENCE),
    ]
    words += ["--suppress-health-check", "all", "--workers", "2", "--warnings", "off", "--generation-database", "none"]
    command = [sys.executable, "-W", "ignore", "-m", "schemathesis.cli", *words]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS + 2 * PATIENCE, check=False)
    report = server.report()
    assert not report.errors, report.errors[0][-2000:]
    assert "Server error" not in ended.stdout, ended.stdout[-4000:]
    assert ended.returncode in (0, _FAILED), ended.stdout[-2000:] + ended.stderr[-2000:]
    assert report.held < MOST_HELD * report.unit, report.where
