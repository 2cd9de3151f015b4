"""Ranks killed between two checkpoints, for every helper that keeps some: no epoch is lost, and losses are those of a run undisturbed.

Real processes on one platform, through the unmodified SDK. What stops, and where, is `surviving`'s; nothing here depends on being quick.
"""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.platform.kit import PODS, Home, Site, eventually
from tests.train import surviving
from tests.train.test_survival import BUILD_SECONDS, JOBS, Watched, complete, launchers, log_of, submit, worker

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
SOON = {"PET_RDZV_CONF": "last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=5"}
JOBSETS = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = Home(tmp_path_factory.mktemp("h"))
    yield home.up()
    home.close()


def nodes(site: Site, name: str) -> dict[int, str]:
    """Index → uid of the pods of a job that have not ended."""
    pods = site.api.get(f"{PODS}?labelSelector=jobset.sigs.k8s.io/jobset-name%3D{name}")["items"]
    index = "batch.kubernetes.io/job-completion-index"
    return {int(pod["metadata"]["annotations"][index]): pod["metadata"]["uid"] for pod in pods if pod["status"]["phase"] == "Running"}


def test_one_rank_restarts_alone_and_the_others_wait_for_it(site: Site) -> None:
    name = "one-by-one"
    submit(
        site,
        surviving.torch_learns,
        {"checkpoint": "true", "max-restarts": "3", "restart-scope": "rank"},
        num_nodes=2,
        env=SOON,
        name=name,
        victims=[1, 1, 0],
    )
    log = Watched(site, name)
    log.wait("step 15$", seconds=BUILD_SECONDS)
    first = nodes(site, name)
    os.kill(worker(1, name).pid, signal.SIGKILL)  # a process: its node's torchrun starts it again

    log.wait("step 25$")
    assert nodes(site, name) == first, "no node was replaced for the sake of a process"
    os.kill(launchers(worker(1, name))[0], signal.SIGKILL)  # a node

    log.wait("step 35$")
    second = nodes(site, name)
    assert second[0] == first[0], "the node that was well goes on"
    assert second[1] != first[1]
    os.kill(launchers(worker(0, name))[0], signal.SIGKILL)  # the first node, where all meet

    log.wait("finished: losses differ by 0.0$")
    complete(site, name)
    assert [int(m) for m in log.found(r"rank 0 goes on after step (\d+)")] == [0, 10, 20, 30], "no epoch is done twice"
    assert not site.api.get(f"{JOBSETS}/{name}")["status"].get("restarts"), "the group was never started anew"


def test_a_node_that_is_gone_for_good_costs_one_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An agent is a part of the platform's process: it is killed with it, and does not come back where fewer agents are asked for.

    Its peers fail of that before the cluster calls it a disruption, which is the restart that counts.
    """
    home, name = Home(tmp_path_factory.mktemp("h")), "on-two-nodes"
    try:
        site = home.up("--agents", "2")
        submit(site, surviving.torch_learns, {"checkpoint": "true", "max-restarts": "1"}, num_nodes=2, name=name, victims=[1])
        log = Watched(site, name)
        log.wait("step 15$", seconds=BUILD_SECONDS)
        assert len({pod["spec"]["nodeName"] for pod in site.api.get(PODS)["items"]}) == 2
        site.kill()
        log = log_of(home.up("--agents", "1"), log, name)
        log.wait("finished: losses differ by 0.0$")
        complete(log.site, name)
        assert log.found(r"rank 0 goes on after step (\d+)") == ["0", "10"]
    finally:
        home.close()


GROUPS: list[tuple[str, Callable[..., None], dict[str, Any]]] = [
    ("group-in-shares", surviving.torch_learns, {"sharded": True}),
    ("group-of-trainers", surviving.trainer_learns, {"image": "huggingface/transformers-pytorch-gpu"}),
]


@pytest.mark.parametrize(("name", "func", "where"), GROUPS, ids=[case[0] for case in GROUPS])
def test_a_group_resumes_at_its_last_checkpoint(name: str, func: Callable[..., None], where: dict[str, Any], site: Site) -> None:
    submit(site, func, {"checkpoint": "true", "max-restarts": "1"}, num_nodes=2, name=name, victims=[1], **where)
    log = Watched(site, name)
    log.wait("step 15$", seconds=BUILD_SECONDS)
    os.kill(worker(1, name).pid, signal.SIGKILL)
    log.wait("finished: losses differ by 0.0$")
    complete(site, name)
    assert log.found(r"rank 0 goes on after step (\d+)") == ["0", "10"]
    assert [int(step) for step in log.found(r"step (\d+)$")] == [*range(1, 16), *range(11, 21)], (
        "nothing is done twice but what was not saved"
    )
    if func is surviving.trainer_learns:
        assert log.found("leaving after step (.*)") == ["4, which is saved"], "all leave together, whoever was asked"
        assert log.found("left with (.*)") == ["75 and ['checkpoint-4']"]


def test_a_group_of_jax_leaves_when_asked_and_resumes_when_killed(site: Site) -> None:
    name, victim = "group-of-jax", 0  # the one that keeps the meeting place, and writes
    submit(
        site,
        surviving.jax_learns,
        {"checkpoint": "true", "max-restarts": "1"},
        num_nodes=2,
        name=name,
        runtime="jax-distributed",
        victim=victim,
    )
    log = Watched(site, name)
    log.wait("step 11$", seconds=BUILD_SECONDS)
    suspend(site, name, wanted=True)
    saved = int(log.wait(r"leaving after step (\d+), which is saved")[1])
    eventually(lambda: not nodes(site, name), "its pods are gone")
    suspend(site, name, wanted=False)

    log.wait("step 25$")
    os.kill(worker(victim, name, "JAX_PROCESS_ID").pid, signal.SIGKILL)
    log.wait("finished: losses differ by 0.0$")
    complete(site, name)
    assert log.found(r"rank 0 goes on after step (\d+)") == ["0", str(saved), "20"], "a pause costs no step, a rank that is killed no epoch"
    assert [int(step) for step in log.found(r"step (\d+)$")] == [*range(1, 26), *range(21, 31)]


def suspend(site: Site, name: str, *, wanted: bool) -> None:
    change = {"spec": {"suspend": wanted}}
    assert site.api.call("PATCH", f"{JOBS}/{name}", change, content_type="application/merge-patch+json").code == 200
