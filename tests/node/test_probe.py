"""The probe's verdicts, and the choice of a runtime that follows from them."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes import choice, probe
from lightship.node.runtimes.process import ProcessRuntime
from lightship.node.runtimes.runtime import RuntimeUnavailableError

from .contract import world


def test_this_machine_is_examined_without_harm() -> None:
    found = probe.probe()
    assert found.sandbox == (not found.reasons)
    assert bool(found.reason) != found.sandbox


@pytest.mark.parametrize(
    ("refused", "want"),
    [
        ({}, (True, True, True)),
        ({"user_namespaces": "no"}, (False, False, False)),
        ({"network_namespaces": "no"}, (True, False, False)),
        ({"mount_namespaces": "no"}, (True, True, False)),
    ],
)
def test_what_was_not_tried_counts_as_refused(refused: dict[str, str], want: tuple[bool, ...]) -> None:
    found = probe.judge(refused, root=False)
    assert (found.user_namespaces, found.network_namespaces, found.mount_namespaces) == want
    assert found.sandbox == all(want)
    for name in refused:
        assert "no; to have them: " in found.reasons[name]


def test_other_systems_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux, this is darwin" in probe.probe().reason


def test_a_trial_that_cannot_run_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    if sys.platform == "linux":
        assert "trial itself failed" in probe.probe().reason


def kind(monkeypatch: pytest.MonkeyPatch, asked: str) -> tuple[str, str]:
    monkeypatch.setenv(choice.VARIABLE, asked)

    async def main() -> tuple[str, str]:
        chosen = await choice.open_runtime(SystemClock())
        await chosen.runtime.close()
        return chosen.runtime.kind, chosen.reason

    return asyncio.run(main())


def test_host_mode_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind(monkeypatch, "process") == ("process", "")


def test_the_best_there_is_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probe.probe()
    assert kind(monkeypatch, "") == ("sandbox" if found.sandbox else "process", found.reason)


def test_host_mode_with_a_reason_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert kind(monkeypatch, "")[0] == "process"
    assert "darwin" in kind(monkeypatch, "")[1]


def test_a_wish_that_cannot_be_met_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RuntimeUnavailableError, match="darwin"):
        kind(monkeypatch, "sandbox")
    with pytest.raises(ValueError, match='LIGHTSHIP_RUNTIME="nonsense"'):
        kind(monkeypatch, "nonsense")


@pytest.mark.slow
def test_every_module_can_be_imported_where_linux_is_not() -> None:
    gone = {
        "os": "pidfd_open pipe2 memfd_create O_PATH",
        "socket": "AF_NETLINK SOCK_SEQPACKET MSG_CMSG_CLOEXEC",
        "signal": "pidfd_send_signal",
    }
    script = "import importlib, os, signal, socket, sys\nsys.platform = 'darwin'\n"
    script += "".join(f"{module}.__dict__.pop({name!r}, None)\n" for module, names in gone.items() for name in names.split())
    modules = "choice farm idmap layout logwriter probe process runtime sandbox"
    script += "".join(f"importlib.import_module('lightship.node.runtimes.{name}')\n" for name in modules.split())
    script += "import lightship.node.network.nameserver, lightship.node.network.relay\n"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
def test_host_mode_runs_without_pidfds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pidfd_open", "pipe2"):
        monkeypatch.delattr(os, name, raising=False)

    async def main() -> None:
        async with world(ProcessRuntime(clock=SystemClock()), tmp_path) as w:
            await w.pod()
            end, text = await w.sh("echo hello; exit 3")
            assert (end.code, text) == (3, "hello\n")

    asyncio.run(main())
