"""Terminals, pipes, attaching, programs beside containers: the contract of streams in every tier."""

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes.process import ProcessRuntime
from lightship.node.runtimes.sandbox import SandboxRuntime

from .streams_contract import StreamsContract
from .test_sandbox import abilities


@pytest.mark.slow
class TestStreamsOfProcesses(StreamsContract):
    def make(self) -> ProcessRuntime:
        return ProcessRuntime(clock=SystemClock())


@pytest.mark.slow
class TestStreamsOfSandboxes(StreamsContract):
    @pytest.fixture(autouse=True)
    def _needs_namespaces(self) -> None:
        if not abilities().sandbox:
            pytest.skip(abilities().reason)

    def make(self) -> SandboxRuntime:
        return SandboxRuntime(clock=SystemClock())


BECOME = ["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", "--inh-caps=-all"]
