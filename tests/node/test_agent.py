"""The agent on our own API server: what it does with pods, and what it tells of them. The runtime only pretends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lightship import kinds
from lightship.aio import virtual
from lightship.meta import conditions, objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import STRATEGIC_MERGE_PATCH, DeleteOptions
from lightship.node.images.installer import BuildError
from lightship.node.machine import nodestatus
from lightship.node.runtimes.runtime import ContainerError, Limits

from . import site
from .make import container, pod
from .site import Site, waiting


def test_a_pod_from_creation_to_success() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(
            pod(container(env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]), restartPolicy="Never")
        )
        running = await s.until_phase("Running")
        status = running["status"]
        assert (status["podIP"], status["hostIP"], status["qosClass"]) == ("10.244.0.2", "192.0.2.1", "BestEffort")
        assert conditions.is_true(running, "Ready")
        spec = s.runtime.spec("main")
        assert spec.env["IP"] == "10.244.0.2"
        assert spec.env["HOSTNAME"] == "p"
        assert spec.env["PATH"].split(":")[1] == "/env/bin"
        assert spec.argv == ["true"]
        s.runtime.end("main", 0)
        ended = await s.until_phase("Succeeded")
        assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        assert conditions.get(ended, "Ready")["reason"] == "PodCompleted"  # type: ignore[index]  # a pod has it
        assert s.runtime.sandboxes == {}
        assert [reason for reason, _ in await s.events()] == ["Pulled", "Created", "Started"]

    site.run(scenario)


def test_how_a_pod_has_ended_is_told_before_its_sandbox_goes() -> None:
    """Otherwise an agent that is killed meanwhile would leave nobody who knows, and a job that has succeeded would count as lost."""

    async def scenario(s: Site) -> None:
        told: list[str] = []

        async def removed(sandbox_id: str) -> None:
            told.append(objects.status(await s.client.get(kinds.PODS, "p", "default"))["phase"])
            s.runtime.sandboxes.pop(sandbox_id)

        s.runtime.remove_sandbox = removed  # type: ignore[method-assign]
        await s.run_pod(pod(restartPolicy="Never"))
        await s.until_phase("Running")
        s.runtime.end("main", 0)
        ended = await s.until_phase("Succeeded")
        assert not conditions.is_true(ended, "PodReadyToStartContainers"), "one write for both"
        await s.clock.sleep(1)
        assert told == ["Succeeded"]
        assert objects.revision(await s.client.get(kinds.PODS, "p", "default")) == objects.revision(ended)

    site.run(scenario)


def test_a_failed_pod_tells_code_and_message() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(container(terminationMessagePolicy="FallbackToLogsOnError"), container("b"), restartPolicy="Never"))
        await s.until_phase("Running")
        leave_message(s, "b", "I broke")
        s.runtime.end("main", 3, log=["Traceback", "ValueError"])
        s.runtime.end("b", 1)
        a, b = (await s.until_phase("Failed"))["status"]["containerStatuses"]
        assert a["state"]["terminated"]["message"] == "Traceback\nValueError\n"
        assert b["state"]["terminated"] | {"exitCode": 1, "message": "I broke", "reason": "Error"} == b["state"]["terminated"]

    site.run(scenario)


def leave_message(s: Site, name: str, text: str) -> None:
    source = next(m.source for m in s.runtime.spec(name).mounts if m.target == "/dev/termination-log")
    Path(source).write_text(text)


def test_crash_loop_with_events() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod())
        await s.until_phase("Running")
        s.runtime.end("main", 1)
        await s.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
        s.runtime.end("main", 1)
        began = s.clock.monotonic()
        looping = await s.until_waiting("CrashLoopBackOff")
        assert looping["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
        assert looping["status"]["phase"] == "Running"
        await s.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 2)
        assert s.clock.monotonic() - began == pytest.approx(10, abs=0.1)
        uid = objects.uid(looping)
        assert ("BackOff", f"Back-off restarting failed container main in pod p_default({uid})") in await s.events()

    site.run(scenario)


def test_deletion_gives_grace_then_kills_then_the_object_goes() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.stubborn = True
        await s.run_pod(pod(terminationGracePeriodSeconds=7))
        await s.until_phase("Running")
        began = s.clock.monotonic()
        await s.client.delete(kinds.PODS, "p", "default")
        await s.until_gone()
        assert s.clock.monotonic() - began == pytest.approx(7, abs=0.1)
        assert s.runtime.signals == [("main", 15), ("main", 9)]
        assert ("Killing", "Stopping container main") in await s.events()
        await s.clock.sleep(1)
        assert list((s.data / "pods").iterdir()) == []

    site.run(scenario)


def test_forced_deletion_ends_the_containers_too() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.stubborn = True
        await s.run_pod(pod())
        await s.until_phase("Running")
        await s.client.delete(kinds.PODS, "p", "default", DeleteOptions(grace_period_seconds=0))
        await s.until_gone()
        await s.clock.sleep(2)
        assert s.runtime.signals == [("main", 15), ("main", 9)]
        assert s.runtime.sandboxes == {}

    site.run(scenario)


def test_a_pod_of_the_same_name_right_after() -> None:
    async def scenario(s: Site) -> None:
        first = await s.run_pod(pod())
        await s.until_phase("Running")
        await s.client.delete(kinds.PODS, "p", "default", DeleteOptions(grace_period_seconds=0))
        second = await s.run_pod(pod())
        await s.until(lambda p: objects.uid(p) == objects.uid(second) and p["status"]["phase"] == "Running")
        await s.clock.sleep(3)
        assert [c.sandbox_id for c in s.runtime.containers.values()] == [objects.uid(second)]
        assert objects.uid(first) not in s.runtime.sandboxes

    site.run(scenario)


def test_a_deleted_pod_with_a_finalizer_stays_until_it_is_taken_away() -> None:
    async def scenario(s: Site) -> None:
        wanted = await s.run_pod(pod())
        await s.until_phase("Running")
        await s.client.patch(kinds.PODS, "p", {"metadata": {"finalizers": ["example.com/x"]}}, "default")
        await s.client.delete(kinds.PODS, "p", "default")
        ended = await s.until_phase("Failed")
        assert objects.uid(ended) == objects.uid(wanted)
        await s.clock.sleep(100)
        await s.client.patch(kinds.PODS, "p", {"metadata": {"finalizers": None}}, "default")
        await s.until_gone()

    site.run(scenario)


def test_a_missing_config_map_waits_and_goes_on_when_it_comes() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(
            pod(container(envFrom=[{"configMapRef": {"name": "cm"}}]), volumes=[{"name": "v", "secret": {"secretName": "sec"}}])
        )
        await s.clock.sleep(100)
        assert waiting(await s.until_phase("Pending")) == {"reason": "ContainerCreating"}
        message = 'MountVolume.SetUp failed for volume "v" : secret "sec" not found'
        assert ("FailedMount", message) in await s.events()
        await s.client.create(kinds.SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec", "namespace": "default"}})
        found = await s.until_waiting("CreateContainerConfigError")
        assert waiting(found)["message"] == 'configmap "cm" not found'
        began = s.clock.monotonic()
        await s.client.create(kinds.CONFIG_MAPS, config_map({"color": "blue"}))
        await s.until_phase("Running")
        assert s.clock.monotonic() - began < 0.1, "news of the ConfigMap wakes the pod, not a timer"
        assert s.runtime.spec("main").env["color"] == "blue"
        assert ("Failed", 'Error: configmap "cm" not found') in await s.events()

    site.run(scenario)


def config_map(data: dict[str, str]) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm", "namespace": "default"}, "data": data}


def test_an_unknown_image() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(container(image="acme/x")))
        found = await s.until_waiting("ErrImagePull")
        want = 'no environment is mapped to image "acme/x"; map it: lightship images map "acme/x" --packages ...'
        assert waiting(found)["message"] == want
        found = await s.until_waiting("ImagePullBackOff")
        assert waiting(found)["message"] == f'Back-off pulling image "acme/x": ErrImagePull: {want}'
        with pytest.raises(StatusError, match="is waiting to start: trying and failing to pull image") as raised:
            await s.logs()
        assert raised.value.code == 400
        (s.data / "images.json").write_text('[{"pattern": "acme/*", "packages": ["six"]}]')
        await s.until_phase("Running")
        told = await s.events()
        assert told[:2] == [("Failed", f'Failed to pull image "acme/x": {want}'), ("Failed", "Error: ErrImagePull")]
        assert ("BackOff", 'Back-off pulling image "acme/x"') in told

    site.run(scenario)


def test_an_environment_that_cannot_be_built() -> None:
    async def scenario(s: Site) -> None:
        s.builder.error = BuildError("uv ended with 1: no such package")
        await s.run_pod(pod())
        found = await s.until_waiting("ErrImagePull")
        assert waiting(found)["message"].endswith("could not be made: uv ended with 1: no such package")

    site.run(scenario)


def test_requirements_that_cannot_be_followed() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(meta={"annotations": {"lightship.dev/requirements": "rich, --index-url=http://elsewhere"}}))
        found = await s.until_waiting("ErrImagePull")
        assert '"--index-url=http://elsewhere" is no requirement' in waiting(found)["message"]

    site.run(scenario)


def test_a_program_that_is_not_there() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.refuse_container = ContainerError("StartError", 'exec "nope": executable file not found in $PATH', 127)
        await s.run_pod(pod(restartPolicy="Never"))
        ended = (await s.until_phase("Failed"))["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (127, "StartError")
        assert ("Failed", 'Error: exec "nope": executable file not found in $PATH') in await s.events()

    site.run(scenario)


def test_a_sandbox_that_is_gone_is_made_again() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod())
        before = await s.until_phase("Running")
        s.runtime.refuse_container = ContainerError("SandboxGone", "gone")
        await s.runtime.remove_sandbox(objects.uid(before))
        s.runtime.end("main", 137, 9)
        await s.clock.sleep(5)
        s.runtime.refuse_container = None
        await s.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
        assert objects.uid(before) in s.runtime.sandboxes

    site.run(scenario)


def test_a_sandbox_that_cannot_be_made_is_tried_again() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.refuse_sandbox = "no namespaces left"
        await s.run_pod(pod())
        await s.clock.sleep(60)
        assert ("FailedCreatePodSandBox", "Failed to create pod sandbox: no namespaces left") in await s.events()
        s.runtime.refuse_sandbox = ""
        await s.until_phase("Running")

    site.run(scenario)


def test_logs_through_the_server() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(restartPolicy="OnFailure"))
        await s.until_phase("Running")
        s.runtime.end("main", 1, log=["first", "run"])
        await s.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
        s.runtime.write("main", "second")
        assert await s.logs() == "second\n"
        assert await s.logs(previous=True, tail_lines=1) == "run\n"
        following = asyncio.create_task(s.logs(follow=True))
        await s.clock.sleep(1)
        s.runtime.end("main", 0, log=["last"])
        assert await following == "second\nlast\n"

    site.run(scenario)


def test_active_deadline() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(activeDeadlineSeconds=30, restartPolicy="Never"))
        failed = await s.until_phase("Failed")
        assert failed["status"]["reason"] == "DeadlineExceeded"
        assert 30 <= s.clock.monotonic() < 32

    site.run(scenario)


def test_init_containers_before_the_main_one() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(inits=[container("init")]))
        found = await s.until(lambda p: "running" in p["status"].get("initContainerStatuses", [{"state": {}}])[0]["state"])
        assert waiting(found) == {"reason": "PodInitializing"}
        assert found["status"]["phase"] == "Pending"
        s.runtime.end("init", 0)
        running = await s.until_phase("Running")
        assert running["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
        assert [c.name for c in s.runtime.started] == ["init", "main"]

    site.run(scenario)


# the node itself --------------------------------------------------------------------------------------------------------------------


def test_the_node_and_its_lease() -> None:
    async def scenario(s: Site) -> None:
        node = await s.client.get(kinds.NODES, "n1")
        assert conditions.is_true(node, "Ready")
        assert objects.labels(node)["kubernetes.io/hostname"] == "n1"
        assert objects.annotations(node)["lightship.dev/runtime"] == "sandbox"
        assert node["status"]["capacity"]["pods"] == "110"
        assert {"cpu", "memory", "ephemeral-storage"} <= set(node["status"]["allocatable"])
        await s.clock.sleep(35)
        first = (await s.client.get(kinds.LEASES, "n1", "kube-node-lease"))["spec"]
        await s.clock.sleep(10)
        second = (await s.client.get(kinds.LEASES, "n1", "kube-node-lease"))["spec"]
        assert first["renewTime"] < second["renewTime"]
        assert second["holderIdentity"] == "n1"
        assert objects.revision(await s.client.get(kinds.NODES, "n1")) == objects.revision(node), "liveness costs no write of the node"

    site.run(scenario)


def test_a_deleted_node_comes_back() -> None:
    async def scenario(s: Site) -> None:
        before = await s.client.get(kinds.NODES, "n1")
        await s.client.delete(kinds.NODES, "n1")
        await s.clock.sleep(25)
        assert objects.uid(await s.client.get(kinds.NODES, "n1")) != objects.uid(before)

    site.run(scenario)


def test_after_a_restart_of_the_agent(tmp_path: Path) -> None:
    """Processes do not survive the agent: what may restart does, what may not has failed, orphans are swept away."""

    async def scenario() -> None:
        server = site.make_server({})
        async with site.site(server, tmp_path) as s:
            await s.run_pod(pod(), name="again")
            await s.run_pod(pod(restartPolicy="Never"), name="once")
            await s.run_pod(pod(), name="deleted")
            for name in ("again", "once", "deleted"):
                await s.until_phase("Running", name)
        (tmp_path / "pods" / "default_orphan_1234").mkdir()
        async with site.site(server, tmp_path) as s:
            again = await s.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1, "again")
            last = again["status"]["containerStatuses"][0]["lastState"]["terminated"]
            assert (last["exitCode"], last["reason"]) == (137, "ContainerStatusUnknown")
            once = await s.until_phase("Failed", "once")
            assert once["status"]["reason"] == "NodeRestart"
            await s.client.delete(kinds.PODS, "deleted", "default")
            await s.until_gone("deleted")
            await s.clock.sleep(1)
            assert sorted(p.name.split("_")[1] for p in (tmp_path / "pods").iterdir()) == ["again", "once"]

    virtual.run(scenario())


def test_an_idle_node_does_next_to_nothing() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod())
        running = await s.until_phase("Running")
        await s.clock.sleep(1000)
        now = s.pods.get(objects.key(running))
        assert now is not None
        assert objects.revision(now) == objects.revision(running), "nothing changed, nothing was written"

    site.run(scenario)


# hooks ------------------------------------------------------------------------------------------------------------------------------


def runs(kind: str, *command: str) -> Obj:
    return {"lifecycle": {kind: {"exec": {"command": list(command)}}}}


def test_a_container_runs_for_others_when_its_start_hook_has_run() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.commands = lambda argv: (5, 0, "")
        await s.run_pod(pod(container(**runs("postStart", "greet"))))
        began = s.clock.monotonic()
        await s.until_phase("Running")
        assert s.clock.monotonic() - began == pytest.approx(5, abs=0.5)
        assert s.runtime.executed == [["greet"]]

    site.run(scenario)


def test_a_start_hook_that_fails_costs_the_container_its_life() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.commands = lambda argv: (0, 1, "it is a secret")
        await s.run_pod(pod(container(**runs("postStart", "greet"))))
        await s.until_waiting("CrashLoopBackOff")
        told = await s.events()
        assert ("FailedPostStartHook", "PostStartHook failed") in told
        assert ("Killing", "FailedPostStartHook") in told
        assert "secret" not in str(told)

    site.run(scenario)


@pytest.mark.parametrize(("seconds", "want_signal_after"), [(4, 4), (100, 10)])
def test_a_stop_hook_comes_before_the_signal_and_ends_with_the_grace(seconds: float, want_signal_after: float) -> None:
    async def scenario(s: Site) -> None:
        s.runtime.commands = lambda argv: (seconds, 0, "")
        await s.run_pod(pod(container(**runs("preStop", "farewell")), terminationGracePeriodSeconds=10))
        await s.until_phase("Running")
        began = s.clock.monotonic()
        await s.client.delete(kinds.PODS, "p", "default")
        await s.clock.sleep(want_signal_after - 0.5)
        assert s.runtime.signals == []
        await s.until_gone()
        assert s.runtime.signals == [("main", 15)]
        assert s.clock.monotonic() - began == pytest.approx(want_signal_after, abs=0.5)
        assert s.runtime.given_up == ([["farewell"]] if seconds > 10 else [])

    site.run(scenario)


def test_a_stop_hook_that_fails_is_told_and_the_container_ends_all_the_same() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(container(lifecycle={"preStop": {"httpGet": {"port": 80}}})))
        await s.until_phase("Running")
        await s.client.delete(kinds.PODS, "p", "default")
        await s.until_gone()
        assert ("FailedPreStopHook", "PreStopHook failed") in await s.events()

    site.run(scenario)


def test_a_container_that_may_have_all_begin_anew() -> None:
    async def scenario(s: Site) -> None:
        anew = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}
        watched = container("watched", restartPolicy="Never", restartPolicyRules=[anew])
        await s.run_pod(pod(watched, container("other"), restartPolicy="Never"))
        await s.until_phase("Running")
        s.runtime.end("watched", 88)
        await s.until(lambda p: [c["restartCount"] for c in p["status"]["containerStatuses"]] == [1, 1])
        assert len(s.runtime.sandboxes) == 1

    site.run(scenario)


# the node's own will ---------------------------------------------------------------------------------------------------------------


def test_a_pod_that_does_not_fit_has_failed() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(container(resources={"requests": {"cpu": "1000"}})))
        status = (await s.until_phase("Failed"))["status"]
        assert status["reason"] == "OutOfcpu"
        assert status["message"].startswith(
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: 0, capacity: "
        )
        assert s.runtime.started == []
        assert ("OutOfcpu", status["message"].removeprefix("Pod was rejected: ")) in await s.events()

    site.run(scenario)


def test_a_pod_that_wanted_another_node_has_failed() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(nodeSelector={"disk": "ssd"}))
        assert (await s.until_phase("Failed"))["status"]["reason"] == "NodeAffinity"

    site.run(scenario)


def test_a_node_that_shuts_down_ends_its_pods_and_lets_nobody_in() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.stubborn = True
        await s.run_pod(pod(terminationGracePeriodSeconds=60))
        await s.until_phase("Running")
        began = s.clock.monotonic()
        await s.agent.shut_down(20)
        assert s.clock.monotonic() - began == pytest.approx(20, abs=0.2)
        status = (await s.until_phase("Failed"))["status"]
        assert (status["reason"], status["message"]) == ("Terminated", "Pod was terminated in response to imminent node shutdown.")
        await s.run_pod(pod(), name="late")
        late = (await s.until_phase("Failed", "late"))["status"]
        assert (late["reason"], late["message"]) == ("NodeShutdown", "Pod was rejected: Pod was rejected as the node is shutting down.")

    site.run(scenario)


# resizing --------------------------------------------------------------------------------------------------------------------------


def sized(cpu: str, memory: str = "100Mi", **fields: Any) -> Obj:
    return container(resources={"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}, **fields)


async def resize(s: Site, cpu: str, memory: str = "100Mi") -> int:
    """Ask for other amounts; the pod's new generation."""
    patch = {"spec": {"containers": [sized(cpu, memory)]}}
    found = await s.client.patch(kinds.PODS, "p", patch, "default", type=STRATEGIC_MERGE_PATCH, subresource="resize")
    return int(objects.generation(found))


def resizes(p: Obj) -> dict[str, str]:
    return {c["type"]: c.get("reason", "") for c in p["status"]["conditions"] if "Resize" in c["type"]}


def test_a_running_pod_is_given_more_and_goes_on() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(sized("100m")))
        first = await s.until_phase("Running")
        assert first["status"]["containerStatuses"][0]["allocatedResources"] == {"cpu": "100m", "memory": "100Mi"}
        generation = await resize(s, "300m")
        await s.until(lambda p: p["status"]["observedGeneration"] == generation and not resizes(p))
        shown = (await s.until(lambda p: p["status"]["containerStatuses"][0]["resources"]["limits"]["cpu"] == "300m"))["status"]
        assert shown["containerStatuses"][0]["allocatedResources"]["cpu"] == "300m"
        assert shown["containerStatuses"][0]["restartCount"] == 0
        ids = [id for id, limits in s.runtime.resized if limits.cpu == 0.3]
        assert ids == [objects.uid(first), s.runtime.spec("main").id, objects.uid(first)], "the pod has room before its containers need it"
        assert {reason for reason, _ in await s.events()} >= {"ResizeStarted", "ResizeCompleted"}

    site.run(scenario)


def test_a_container_that_wants_it_begins_anew_with_its_new_amounts() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(sized("100m", resizePolicy=[{"resourceName": "memory", "restartPolicy": "RestartContainer"}])))
        await s.until_phase("Running")
        await resize(s, "100m", "200Mi")
        await s.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1 and not resizes(p))
        assert s.runtime.spec("main").limits.memory == 200 * 2**20
        assert ("Killing", "Container main resize requires restart") in await s.events()

    site.run(scenario)


def test_what_can_never_be_given_is_infeasible_and_what_others_have_is_deferred() -> None:
    async def scenario(s: Site) -> None:
        cpus = int(nodestatus.look(s.data).cpus)
        other = await s.run_pod(pod({**sized(str(cpus - 1)), "name": "other"}), name="other")
        await s.run_pod(pod(sized("100m")))
        await s.until_phase("Running")
        await s.until_phase("Running", "other")
        await resize(s, "1000")
        pending = await s.until(lambda p: resizes(p) == {"PodResizePending": "Infeasible"})
        found = conditions.get(pending, "PodResizePending")
        assert found is not None
        assert found["message"] == f"Node didn't have enough capacity: cpu, requested: 1000000, capacity: {cpus * 1000}"
        await resize(s, str(cpus))
        await s.until(lambda p: resizes(p) == {"PodResizePending": "Deferred"})
        assert s.runtime.spec("main").limits.cpu == 0.1
        await s.client.delete(kinds.PODS, objects.name(other), "default")
        await s.until(lambda p: not resizes(p) and p["status"]["containerStatuses"][0]["resources"]["limits"]["cpu"] == str(cpus))

    site.run(scenario)


def test_a_runtime_that_cannot_resize_is_told() -> None:
    async def scenario(s: Site) -> None:
        async def refuse(container_id: str, limits: Limits) -> None:
            raise ContainerError("CreateContainerError", "no such group")

        s.runtime.update = refuse  # type: ignore[method-assign]  # it only pretends
        await s.run_pod(pod(sized("100m")))
        await s.until_phase("Running")
        await resize(s, "200m")
        shown = await s.until(lambda p: resizes(p) == {"PodResizeInProgress": "Error"})
        assert shown["status"]["containerStatuses"][0]["resources"]["limits"]["cpu"] == "100m"
        assert shown["status"]["containerStatuses"][0]["allocatedResources"]["cpu"] == "200m"

    site.run(scenario)


# statuses --------------------------------------------------------------------------------------------------------------------------


def test_ephemeral_containers_join_a_pod_that_runs() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod())
        await s.until_phase("Running")
        patch = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "python:3.12", "command": ["sh"]}]}}
        await s.client.patch(kinds.PODS, "p", patch, "default", type=STRATEGIC_MERGE_PATCH, subresource="ephemeralcontainers")
        shown = await s.until(lambda p: "running" in (p["status"].get("ephemeralContainerStatuses") or [{"state": {}}])[0]["state"])
        assert shown["status"]["phase"] == "Running"
        s.runtime.write("debug", "hello")
        assert await s.logs(container="debug") == "hello\n"
        s.runtime.end("debug", 1)
        ended = await s.until(lambda p: "terminated" in p["status"]["ephemeralContainerStatuses"][0]["state"])
        assert conditions.is_true(ended, "Ready")
        await s.clock.sleep(20)
        assert len(s.runtime.started) == 2, "it is never started again"

    site.run(scenario)


def test_an_ephemeral_container_joins_the_one_that_it_names() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(container("a"), container("b"), restartPolicy="Never"))
        await s.until_phase("Running")
        s.runtime.end("b", 0)
        debug = [{"name": f"look-at-{name}", "image": "python:3.12", "targetContainerName": name} for name in ("a", "b")]
        patch = {"spec": {"ephemeralContainers": debug}}
        await s.client.patch(kinds.PODS, "p", patch, "default", type=STRATEGIC_MERGE_PATCH, subresource="ephemeralcontainers")
        shown = await s.until(lambda p: all(c["imageID"] for c in p["status"].get("ephemeralContainerStatuses") or [{"imageID": ""}]))
        await s.clock.sleep(2)
        shown = s.pods.list()[0]
        assert s.runtime.spec("look-at-a").target == s.runtime.spec("a").id
        late = shown["status"]["ephemeralContainerStatuses"][1]["state"]["waiting"]
        assert late == {"reason": "CreateContainerConfigError", "message": 'unable to find target container "b"'}

    site.run(scenario)


def test_conditions_and_statuses_say_what_they_speak_of() -> None:
    async def scenario(s: Site) -> None:
        mounts = [{"name": "v", "mountPath": "/v", "readOnly": True}]
        context = {"runAsUser": 7, "runAsGroup": 8, "fsGroup": 9}
        await s.run_pod(pod(container(volumeMounts=mounts), volumes=[{"name": "v", "emptyDir": {}}], securityContext=context))
        status = (await s.until_phase("Running"))["status"]
        assert {c["observedGeneration"] for c in status["conditions"]} == {1}
        shown = status["containerStatuses"][0]
        assert shown["user"] == {"linux": {"uid": 7, "gid": 8, "supplementalGroups": [8, 9]}}
        assert shown["volumeMounts"] == [{**mounts[0], "recursiveReadOnly": "Disabled"}]

    site.run(scenario)


def test_readiness_gates() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(readinessGates=[{"conditionType": "example.com/open"}]))
        shut = conditions.get(await s.until_phase("Running"), "Ready")
        assert shut is not None
        want = 'corresponding condition of pod readiness gate "example.com/open" does not exist.'
        assert (shut["reason"], shut["message"]) == ("ReadinessGatesNotReady", want)
        for status, ready in (("False", "False"), ("True", "True")):
            patch = {"status": {"conditions": [{"type": "example.com/open", "status": status}]}}
            await s.client.patch(kinds.PODS, "p", patch, "default", type=STRATEGIC_MERGE_PATCH, subresource="status")
            await s.until(lambda p, want=ready: (conditions.get(p, "Ready") or {})["status"] == want)  # type: ignore[misc]  # bound now

    site.run(scenario)


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({"image": "No Such"}, "InvalidImageName"),
        ({"image": "example.com/unknown:1", "imagePullPolicy": "Never"}, "ErrImageNeverPull"),
        ({"image": "example.com/unknown:1"}, "ImagePullBackOff"),
        ({"securityContext": {"runAsNonRoot": True}}, "CreateContainerConfigError"),
    ],
)
def test_what_keeps_a_container_from_being_made(fields: Obj, want: str) -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(container(**fields)))
        await s.until_waiting(want)
        await s.clock.sleep(30)
        assert waiting(s.pods.list()[0])["reason"] in (want, "ErrImagePull" if want == "ImagePullBackOff" else want)

    site.run(scenario)
