"""The pure core of the agent: what it decides, in what order, and when; hours of back-off in no time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.node.pods import instructions, sync
from lightship.node.pods.recovery import recover
from lightship.node.pods.state import PodState

from .make import NOW, Pod, container, deleting, pod, sidecar


def test_a_pod_starts_in_the_kubelets_order() -> None:
    p = Pod(pod())
    p.settle()
    assert p.log == ["PrepareVolumes", "CreateSandbox", "PullImage main", "StartContainer main"]
    assert p.phase == "Running"
    assert p.conditions() == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }


def test_init_containers_run_one_by_one_before_the_main_ones() -> None:
    p = Pod(pod(container("a"), container("b"), inits=[container("i1"), container("i2")]))
    p.settle()
    assert p.log[-1] == "StartContainer i1"
    assert p.phase == "Pending"
    assert p.container_state("a")["state"]["waiting"]["reason"] == "PodInitializing"
    assert conditions.get(p.obj, "Initialized")["message"] == "containers with incomplete status: [i1 i2]"  # type: ignore[index]  # asserted by the line above
    p.exit("i1")
    p.settle()
    assert p.log[-1] == "StartContainer i2"
    p.exit("i2")
    p.settle()
    assert p.log[-2:] == ["StartContainer a", "StartContainer b"]
    assert p.phase == "Running"


def test_sidecars_start_in_their_place_and_outlive_the_main_containers() -> None:
    p = Pod(pod(inits=[container("first"), sidecar()], restartPolicy="Never"))
    p.settle()
    p.exit("first")
    p.settle()
    assert p.log[-2:] == ["StartContainer side", "StartContainer main"]
    p.exit("main", 0)
    p.settle()
    assert p.log[-2:] == ["StopContainer side", "TerminateContainer side"]
    assert p.phase == "Running"  # a terminal phase waits for everything to end
    p.exit("side", 143, 15)
    p.settle()
    assert p.log[-1] == "RemoveSandbox"
    assert p.phase == "Succeeded"


def test_sidecars_stop_one_by_one_in_reverse() -> None:
    p = Pod(pod(inits=[sidecar("s1"), sidecar("s2")]))
    p.settle()
    p.obj["metadata"] |= deleting()
    p.settle()
    assert p.log[-1] == "TerminateContainer main"
    p.exit("main", 143, 15)
    p.settle()
    assert p.log[-1] == "TerminateContainer s2"
    p.exit("s2")
    p.settle()
    assert p.log[-2:] == ["StopContainer s1", "TerminateContainer s1"]


def test_a_crashed_sidecar_comes_back_without_running_the_inits_again() -> None:
    p = Pod(pod(inits=[container("init"), sidecar()]))
    p.settle()
    p.exit("init")
    p.settle()
    p.exit("side", 1)
    p.settle()
    assert p.log[-1] == "StartContainer side"
    assert p.log.count("StartContainer init") == 1
    assert p.log.count("StartContainer main") == 1


def test_a_sidecar_that_crashes_holds_up_nobody_who_comes_after() -> None:
    p = Pod(pod(inits=[sidecar(), container("init")]))
    p.settle()
    assert p.log[-1] == "StartContainer init"
    for _ in range(2):
        p.exit("side", 1)
        p.settle()
    assert not p.state.containers["side"].running
    p.exit("init")
    p.settle()
    assert "StartContainer main" in p.log
    assert p.log.count("StartContainer init") == 1


@pytest.mark.parametrize(
    ("policy", "code", "want_phase", "want_restart"),
    [
        ("Never", 0, "Succeeded", False),
        ("Never", 1, "Failed", False),
        ("OnFailure", 0, "Succeeded", False),
        ("OnFailure", 1, "Running", True),
        ("Always", 0, "Running", True),
        ("Always", 1, "Running", True),
    ],
)
def test_restart_policy(policy: str, code: int, want_phase: str, want_restart: bool) -> None:
    p = Pod(pod(restartPolicy=policy))
    p.settle()
    p.exit(code=code)
    p.settle()
    assert p.phase == want_phase
    assert (p.log.count("StartContainer main") == 2) is want_restart


def test_crash_loop_waits_10s_doubling_to_5_minutes() -> None:
    p = Pod(pod())
    p.settle()
    waits = []
    for _ in range(8):
        p.exit(code=1)
        ended = p.now
        plan = p.settle()
        while not p.state.container("main").running:
            shown = p.container_state()["state"]["waiting"]
            assert shown["reason"] == "CrashLoopBackOff"
            assert plan.wake is not None
            p.now = plan.wake
            plan = p.settle()
        waits.append(p.now - ended)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert p.container_state()["restartCount"] == 8


def test_crash_loop_is_forgotten_after_ten_minutes_of_running() -> None:
    p = Pod(pod())
    p.settle()
    for _ in range(3):
        p.exit(code=1)
        p.now = p.settle().wake or p.now
        p.settle()
    p.now += 601
    p.exit(code=1)
    p.settle()
    assert p.state.container("main").running, "restarted at once"
    p.exit(code=1)
    assert p.settle().wake == p.now + 10


def test_back_off_is_told_once_and_in_the_kubelets_words() -> None:
    p = Pod(pod())
    p.settle()
    p.exit(code=1)
    p.settle()
    p.exit(code=1)
    p.settle()
    p.settle()
    assert p.log.count("BackOff main") == 1
    uid = objects.uid(p.obj)
    want = f"back-off 10s restarting failed container=main pod=p_default({uid})"
    assert p.container_state()["state"]["waiting"]["message"] == want
    assert p.container_state()["lastState"]["terminated"]["exitCode"] == 1


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    p = Pod(pod(inits=[container("init")], restartPolicy="Never"))
    p.settle()
    p.exit("init", 2)
    p.settle()
    assert p.phase == "Failed"
    assert "StartContainer main" not in p.log
    assert p.log[-1] == "RemoveSandbox"
    initialized = conditions.get(p.obj, "Initialized")
    assert initialized is not None
    assert initialized["message"] == "containers with incomplete status: [init]"


def test_what_initialization_lacks_is_only_what_has_not_succeeded() -> None:
    p = Pod(pod(inits=[container("a"), container("b"), container("c")], restartPolicy="Never"))
    p.settle()
    p.exit("a")
    p.settle()
    p.exit("b", 1)
    p.settle()
    p.status()
    initialized = conditions.get(p.obj, "Initialized")
    assert initialized is not None
    assert initialized["message"] == "containers with incomplete status: [b c]"


def test_a_failed_init_container_is_retried_with_back_off() -> None:
    p = Pod(pod(inits=[container("init")], restartPolicy="OnFailure"))
    p.settle()
    p.exit("init", 2)
    p.settle()
    assert p.log.count("StartContainer init") == 2
    assert p.phase == "Pending"


def test_deletion_asks_then_kills_then_removes() -> None:
    p = Pod(pod(container("a"), container("b")))
    p.settle()
    p.obj["metadata"] |= deleting(5)
    plan = p.settle()
    assert p.log[-4:] == ["StopContainer a", "StopContainer b", "TerminateContainer a", "TerminateContainer b"]
    assert plan.wake == NOW + 5
    p.exit("a", 143, 15)
    p.settle()
    p.now += 5
    p.settle()
    assert p.log[-1] == "KillContainer b"
    p.settle()
    assert p.log.count("KillContainer b") == 1
    p.exit("b", 137, 9)
    p.settle()
    assert p.log[-2:] == ["RemoveSandbox", "FinishDeletion"]
    assert p.phase == "Failed"


def test_a_deleted_pod_whose_containers_ended_well_has_succeeded() -> None:
    p = Pod(pod())
    p.settle()
    p.obj["metadata"] |= deleting()
    p.settle()
    p.exit(code=0)
    p.settle()
    assert p.phase == "Succeeded"


def test_nothing_is_started_once_deletion_was_asked_for() -> None:
    p = Pod(pod(meta=deleting()))
    p.settle()
    assert p.log == ["FinishDeletion"]


def test_a_pod_whose_object_is_gone_gets_a_last_moment() -> None:
    p = Pod(pod())
    p.settle()
    p.state.removed = True
    plan = p.settle()
    assert p.log[-1] == "TerminateContainer main"
    assert plan.wake == NOW + 2


# hooks ------------------------------------------------------------------------------------------------------------------------------

HOOK = {"exec": {"command": ["true"]}}


def hooked(name: str = "main", kind: str = "preStop", **fields: Any) -> Obj:
    return container(name, lifecycle={kind: HOOK}, **fields)


def test_a_container_is_not_told_to_run_before_its_hook_has_succeeded_and_others_wait_for_it() -> None:
    p = Pod(pod(hooked("a", "postStart"), container("b")))
    p.settle()
    assert p.log[-1] == "StartContainer a"
    assert p.phase == "Pending"
    assert p.container_state("a")["state"] == {"waiting": {"reason": "ContainerCreating"}}
    p.state.container_hooked("a", success=True)
    p.settle()
    assert p.log[-1] == "StartContainer b"
    assert "running" in p.container_state("a")["state"]


def test_a_container_whose_start_hook_failed_is_replaced() -> None:
    p = Pod(pod(hooked("main", "postStart")))
    p.settle()
    p.state.container_hooked("main", success=False)
    p.settle()
    assert p.log[-2:] == ["StopContainer main", "TerminateContainer main"]
    p.exit("main", 143, 15)
    p.settle()
    assert p.log[-1] == "StartContainer main"


def test_the_signal_waits_for_the_stop_hook_and_the_hook_counts_against_the_grace() -> None:
    p = Pod(pod(hooked()))
    p.settle()
    p.obj["metadata"] |= deleting(30)
    assert p.settle().wake == NOW + 30
    assert p.log[-1] == "StopContainer main"
    p.now += 10
    p.state.container("main").hooking = False
    assert p.settle().wake == NOW + 30
    assert p.log[-1] == "TerminateContainer main"
    p.now += 20
    p.settle()
    assert p.log[-1] == "KillContainer main"


def test_a_hook_that_never_ends_leaves_a_last_moment() -> None:
    p = Pod(pod(hooked()))
    p.settle()
    p.obj["metadata"] |= deleting(30)
    p.settle()
    p.now += 30
    assert p.settle().wake == p.now + 2
    assert p.log[-1] == "TerminateContainer main"
    p.now += 2
    p.settle()
    assert p.log[-1] == "KillContainer main"


def test_hooks_of_sidecars_run_as_soon_as_the_ending_begins_and_signals_in_their_turn() -> None:
    p = Pod(pod(inits=[hooked("s1", restartPolicy="Always"), sidecar("s2")]))
    p.settle()
    p.obj["metadata"] |= deleting(30)
    p.settle()
    assert p.log[-3:] == ["StopContainer main", "StopContainer s1", "TerminateContainer main"]
    p.state.container("s1").hooking = False
    p.settle()
    assert p.log[-1] == "TerminateContainer main"
    p.exit("main", 143, 15)
    p.settle()
    assert p.log[-1] == "TerminateContainer s2"
    p.exit("s2", 143, 15)
    p.settle()
    assert p.log[-1] == "TerminateContainer s1"


def test_a_probe_may_say_how_long_its_container_takes_to_end() -> None:
    probe = {"exec": {"command": ["true"]}, "terminationGracePeriodSeconds": 7}
    p = Pod(pod(container(livenessProbe=probe), terminationGracePeriodSeconds=60))
    p.settle()
    p.state.container_probed("main", "liveness", success=False)
    assert p.settle().wake == NOW + 7


# restart rules ----------------------------------------------------------------------------------------------------------------------


def rule(action: str, *codes: int, operator: str = "In") -> Obj:
    return {"action": action, "exitCodes": {"operator": operator, "values": list(codes)}}


@pytest.mark.parametrize(
    ("fields", "code", "want_restart"),
    [
        ({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", 42)]}, 42, True),
        ({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", 42)]}, 1, False),
        ({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", 42, operator="NotIn")]}, 1, True),
        ({"restartPolicy": "OnFailure"}, 1, True),
        ({"restartPolicy": "OnFailure"}, 0, False),
        ({"restartPolicy": "Always"}, 0, True),
    ],
)
def test_a_containers_own_restart_policy_comes_before_the_pods(fields: Obj, code: int, want_restart: bool) -> None:
    p = Pod(pod(container(**fields), restartPolicy="Never"))
    p.settle()
    p.exit(code=code)
    p.settle()
    assert (p.log.count("StartContainer main") == 2) is want_restart
    assert p.phase == ("Running" if want_restart else "Succeeded" if code == 0 else "Failed")


def test_one_container_may_have_all_begin_anew() -> None:
    watched = container("a", restartPolicy="Never", restartPolicyRules=[rule("RestartAllContainers", 88)])
    p = Pod(pod(watched, container("b"), inits=[container("init")], restartPolicy="Never"))
    p.settle()
    p.exit("init")
    p.settle()
    p.exit("a", 88)
    p.state.restarting_since = p.now
    p.settle()
    assert p.log[-2:] == ["StopContainer b", "TerminateContainer b"]
    assert p.phase == "Running"
    p.exit("b", 143, 15)
    p.settle()
    assert p.log[-2:] == ["RestartAll", "StartContainer init"]
    p.exit("init")
    p.settle()
    assert p.log[-2:] == ["StartContainer a", "StartContainer b"]
    assert p.container_state("b")["restartCount"] == 1
    p.exit("b", 0)
    p.exit("a", 0)
    p.settle()
    assert p.phase == "Succeeded"


def test_active_deadline() -> None:
    p = Pod(pod(activeDeadlineSeconds=60))
    assert p.settle().wake == NOW + 60
    p.now += 60
    p.settle()
    assert p.log[-3:] == ["FailPod", "StopContainer main", "TerminateContainer main"]
    assert p.phase == "Running"
    p.exit(code=143, signal=15)
    p.settle()
    found = p.status()
    assert (found["phase"], found["reason"]) == ("Failed", "DeadlineExceeded")
    assert found["message"] == "Pod was active on the node longer than the specified deadline"


def test_an_image_that_cannot_be_had_is_an_error_then_a_back_off() -> None:
    p = Pod(pod())
    p.state.volumes_ready = True
    p.state.sandbox_created("10.0.0.1")
    waits = []
    for _ in range(7):
        p.state.image_failed("python:3.12", "ErrImagePull", "no such thing", p.now)
        assert p.container_state()["state"]["waiting"] == {"reason": "ErrImagePull", "message": "no such thing"}
        failed = p.now
        plan = p.plan()
        assert plan.instructions == []
        assert plan.wake == failed + sync.SHOW_PULL_ERROR
        p.now = plan.wake
        plan = p.plan()
        assert [type(i).__name__ for i in plan.instructions] == ["BackOffPull"]
        p.perform(plan.instructions[0])
        want = 'Back-off pulling image "python:3.12": ErrImagePull: no such thing'
        assert p.container_state()["state"]["waiting"] == {"reason": "ImagePullBackOff", "message": want}
        plan = p.plan()
        assert plan.wake is not None
        waits.append(plan.wake - failed)
        p.now = plan.wake
        assert [type(i).__name__ for i in p.plan().instructions] == ["PullImage"]
    assert waits == [10, 20, 40, 80, 160, 300, 300]
    assert p.phase == "Pending"


def test_one_pull_for_one_image_however_many_containers_want_it() -> None:
    p = Pod(pod(container("a"), container("b")))
    p.state.volumes_ready = True
    p.state.sandbox_created("10.0.0.1")
    assert [type(i).__name__ for i in p.plan().instructions] == ["PullImage"]


def test_a_container_that_cannot_be_configured_waits_and_tries_again() -> None:
    p = Pod(pod())
    p.settle()
    p = Pod(pod())
    p.state.volumes_ready = True
    p.state.sandbox_created("10.0.0.1")
    p.state.image_pulled("python:3.12", "x")
    p.state.container_problem("main", "CreateContainerConfigError", 'configmap "c" not found', p.now)
    want = {"reason": "CreateContainerConfigError", "message": 'configmap "c" not found'}
    assert p.container_state()["state"]["waiting"] == want
    plan = p.plan()
    assert (plan.instructions, plan.wake) == ([], NOW + 0.5)
    p.now += 0.5
    p.settle()
    assert p.container_state()["restartCount"] == 0
    assert p.phase == "Running"


def test_a_program_that_is_not_there_counts_as_a_run() -> None:
    p = Pod(pod(restartPolicy="Never"))
    p.state.volumes_ready = True
    p.state.sandbox_created("10.0.0.1")
    p.state.container_failed_to_start("main", "run1", 127, "StartError", "no such file", p.now)
    p.settle()
    assert p.phase == "Failed"
    shown = p.container_state()["state"]["terminated"]
    assert (shown["exitCode"], shown["reason"], shown["startedAt"]) == (127, "StartError", "1970-01-01T00:00:00Z")


def test_a_new_sandbox_runs_the_inits_again() -> None:
    p = Pod(pod(inits=[container("init")]))
    p.settle()
    p.exit("init")
    p.settle()
    p.exit("main", 137, 9)
    p.state.sandbox_removed()
    p.settle()
    assert p.log[-2:] == ["CreateSandbox", "StartContainer init"]


# recovery ---------------------------------------------------------------------------------------------------------------------------


def restarted(before: Pod) -> Pod:
    """The same pod as a new agent finds it."""
    before.status()
    return Pod(before.obj, recover(before.obj, before.now), before.now)


def test_after_a_node_restart_containers_run_again() -> None:
    p = Pod(pod(inits=[container("init")]))
    p.settle()
    p.exit("init")
    p.settle()
    p = restarted(p)
    p.settle()
    assert p.log[-1] == "StartContainer init"
    p.exit("init")
    p.settle()
    shown = p.container_state()
    assert shown["restartCount"] == 1
    assert shown["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert p.phase == "Running"


def test_after_a_node_restart_a_pod_that_never_restarts_has_failed() -> None:
    p = Pod(pod(restartPolicy="Never"))
    p.settle()
    p = restarted(p)
    p.settle()
    assert p.log == []
    assert (p.phase, p.status()["reason"]) == ("Failed", "NodeRestart")
    assert p.container_state()["state"]["terminated"]["exitCode"] == 137


def test_what_had_ended_well_before_a_node_restart_is_not_repeated() -> None:
    p = Pod(pod(container("a"), container("b"), restartPolicy="OnFailure"))
    p.settle()
    p.exit("a", 0)
    p = restarted(p)
    p.settle()
    assert "StartContainer a" not in p.log
    assert p.log[-1] == "StartContainer b"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_left_alone(phase: str) -> None:
    p = Pod(pod(status={"phase": phase}), recover(pod(status={"phase": phase}), NOW))
    assert p.plan() == instructions.Plan([], None)
    assert p.phase == phase


# invariants -------------------------------------------------------------------------------------------------------------------------

POLICIES = st.sampled_from(["Always", "OnFailure", "Never"])
SHAPES = st.sampled_from(
    [
        [],
        [container("i1")],
        [container("i1"), container("i2")],
        [container("i1"), sidecar()],
        [sidecar()],
        [hooked("s1", restartPolicy="Always"), sidecar()],
        [container("i1", restartPolicy="Never", restartPolicyRules=[rule("Restart", 1)])],
    ]
)
MAINS = st.lists(
    st.sampled_from([container("m1"), hooked("m2", "postStart"), hooked("m3"), container("m4", restartPolicy="OnFailure")]),
    min_size=1,
    max_size=3,
    unique_by=lambda c: c["name"],
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("exit"), st.integers(0, 3), st.sampled_from([0, 1, 137])),
        st.tuples(st.just("wait"), st.floats(0.1, 400), st.just(0)),
        st.tuples(st.just("delete"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("lose sandbox"), st.just(0), st.just(0)),
        st.tuples(st.just("hook"), st.integers(0, 3), st.sampled_from([0, 1])),
        st.tuples(st.just("begin anew"), st.just(0), st.just(0)),
        st.tuples(st.just("restart agent"), st.just(0), st.just(0)),
    ),
    max_size=14,
)


def step(p: Pod, what: tuple[str, float, int]) -> Pod:
    kind, value, code = what
    if kind == "exit":
        running = [c.name for c in p.state.containers.values() if c.running]
        if running:
            p.exit(running[int(value) % len(running)], code, 9 if code == 137 else 0)
    elif kind == "wait":
        p.now += value
    elif kind == "delete":
        p.obj = {**p.obj, "metadata": {**p.obj["metadata"], **deleting(int(value))}}
    elif kind == "hook":
        waiting = [c for c in p.state.containers.values() if c.starting or c.hooking]
        for container in waiting[:1]:
            if container.starting:
                p.state.container_hooked(container.name, success=code == 0)
            container.hooking = False
    elif kind == "begin anew":
        if p.state.any_running and not sync.must_stop(p.obj, p.state):
            p.state.restarting_since = p.now
    elif kind == "lose sandbox":
        for name in [c.name for c in p.state.containers.values() if c.running]:
            p.exit(name, 137, 9)
        p.state.sandbox_removed()
    else:
        return restarted(p)
    return p


def check(p: Pod, old: Obj | None) -> Obj:
    """What holds of every report, whatever happened."""
    found = p.status()
    running = [c for c in p.state.containers.values() if c.running]
    if found["phase"] in ("Succeeded", "Failed"):
        assert not running
        assert conditions.is_false(p.obj, "Ready")
    if old is not None and old["phase"] in ("Succeeded", "Failed"):
        assert found["phase"] == old["phase"]
    for listed in (found.get("initContainerStatuses", []), found["containerStatuses"]):
        for shown in listed:
            assert len(shown["state"]) == 1
            assert ("running" in shown["state"]) == shown["started"]
    assert conditions.is_true(p.obj, "Ready") == (conditions.is_true(p.obj, "ContainersReady"))
    return found


@given(policy=POLICIES, inits=SHAPES, mains=MAINS, steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_whatever_happens(policy: str, inits: list[Obj], mains: list[Obj], steps: list[tuple[str, float, int]]) -> None:
    """No two copies (asserted by `Pod.perform`), no sandbox removed under a running container, terminal phases final, the end reached."""
    p = Pod(pod(*mains, inits=inits, restartPolicy=policy))
    seen: Obj | None = None
    p.settle()
    for what in steps:
        p = step(p, what)
        p.settle()
        seen = check(p, seen)
    p.obj = {**p.obj, "metadata": {**p.obj["metadata"], **deleting(1)}}
    for _ in range(20):
        plan = p.settle()
        if any(isinstance(i, instructions.FinishDeletion) for i in plan.instructions):
            return
        p.now = p.now if plan.wake is None else plan.wake
        for name in [c.name for c in p.state.containers.values() if c.running]:
            p.exit(name, 143, 15)
    raise AssertionError("the pod never went away")


@given(policy=POLICIES, steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_deciding_changes_nothing(policy: str, steps: list[tuple[str, float, int]]) -> None:
    p = Pod(pod(restartPolicy=policy))
    p.settle()
    for what in steps:
        p = step(p, what)
        assert p.plan() == p.plan()
        before = repr(p.state)
        p.plan()
        assert repr(p.state) == before
        p.settle()


def test_unknown_exits_are_ignored() -> None:
    state = PodState(uid="u")
    state.container_exited("nobody", 0, 0, "", "", NOW)
    assert state.containers == {}


def test_a_pod_deleted_before_it_could_run_has_failed() -> None:
    p = Pod(pod())
    p.perform(instructions.PrepareVolumes())
    p.perform(instructions.CreateSandbox())
    assert p.phase == "Pending"
    p.obj["metadata"] |= deleting()
    p.settle()
    assert p.phase == "Failed"
    assert "waiting" in p.container_state()["state"]


def test_a_deleted_pod_that_runs_says_so() -> None:
    p = Pod(pod())
    p.settle()
    p.obj["metadata"] |= deleting()
    assert p.phase == "Running"
