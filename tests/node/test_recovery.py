"""What a new agent makes of a pod that was there before it: pure, from the status and from what outlived the old one."""

from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.pods.recovery import LOST_CODE, NODE_RESTART, recover
from lightship.node.runtimes.runtime import ContainerSpec, Exit, Left

NOW = 2_000_000_000.0
STARTED = "2026-11-21T08:00:00Z"


def spec(name: str, id: str) -> ContainerSpec:
    return ContainerSpec(id=id, sandbox_id="u", name=name, argv=["x"], env={}, log_path="/log")


def left(*specs: ContainerSpec, exits: tuple[Exit, ...] = ()) -> Left:
    return Left("10.244.0.9", {found.name: found for found in specs}, list(exits))


def entry(name: str, id: str, **state: Any) -> Obj:
    return {"name": name, "containerID": f"lightship://{id}" if id else "", "restartCount": 0, "image": "i", "state": state}


RUNNING = {"startedAt": STARTED}
SUCCEEDED = {"exitCode": 0, "containerID": "lightship://i1", "startedAt": STARTED, "finishedAt": STARTED}


def pod(*entries: Obj, init: tuple[Obj, ...] = (), policy: str = "Never", phase: str = "Running") -> Obj:
    status = {"phase": phase, "podIP": "10.244.0.9", "containerStatuses": [*entries], "initContainerStatuses": [*init]}
    return {"metadata": {"uid": "u", "name": "p", "namespace": "n"}, "spec": {"restartPolicy": policy}, "status": status}


def test_what_runs_goes_on() -> None:
    running = entry("c", "c1", running=RUNNING) | {"ready": False, "started": True}
    state = recover(pod(running, init=(entry("i", "i1", terminated=SUCCEEDED),)), NOW, left(spec("c", "c1")))
    found = state.containers["c"]
    assert (found.running, found.id, found.starts, found.ready, found.initialized, found.finished) == (True, "c1", 1, False, True, None)
    assert (state.sandbox, state.ip, state.failure) == (True, "10.244.0.9", None)
    assert state.containers["i"].done, "an init container need not run again in the same sandbox"


def test_without_anything_left_all_is_lost() -> None:
    state = recover(pod(entry("c", "c1", running=RUNNING), init=(entry("i", "i1", terminated=SUCCEEDED),)), NOW)
    found = state.containers["c"].finished
    assert found is not None
    assert (found.code, state.failure and state.failure[0], state.sandbox) == (LOST_CODE, NODE_RESTART, False)
    assert not state.containers["i"].done


@pytest.mark.parametrize("reason", ["", "OOMKilled"])
def test_an_end_that_nobody_was_told_of(reason: str) -> None:
    end = Exit("c1", 3, 0, NOW - 5, reason)
    state = recover(pod(entry("c", "c1", running=RUNNING), entry("d", "d1", running=RUNNING)), NOW, left(spec("d", "d1"), exits=(end,)))
    found = state.containers["c"].finished
    assert found is not None
    assert (found.code, found.reason, found.finished) == (3, reason or "Error", NOW - 5)
    assert state.failure is None, "the pod as a whole is well"


def test_a_start_that_nobody_was_told_of() -> None:
    ended = entry("c", "c1", terminated={"exitCode": 1, "containerID": "lightship://c1", "finishedAt": STARTED})
    state = recover(pod(ended, policy="Always"), NOW, left(spec("c", "c2")))
    found = state.containers["c"]
    assert (found.running, found.id, found.starts) == (True, "c2", 2)
    assert found.previous is not None
    assert (found.previous.id, found.finished and found.finished.id) == ("c1", "c1")
    fresh = recover(pod(phase="Pending"), NOW, left(spec("c", "c1"))).containers["c"]
    assert (fresh.running, fresh.starts) == (True, 1)


def test_a_pod_that_is_over_stays_so() -> None:
    assert recover(pod(entry("c", "c1", terminated=SUCCEEDED), phase="Succeeded"), NOW).rejected
    assert not recover(pod(entry("c", "c1", terminated=SUCCEEDED), phase="Succeeded"), NOW, left()).rejected, "its sandbox must go first"
