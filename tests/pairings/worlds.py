"""The matrix: whose server, whose controllers, whose scheduler, whose JobSets, whose nodes. Each world is started once and then lived in.

Of the controllers, half are `OURS_HERE` in one world and the other half in the next, so that every one of ours has worked beside those of
kube-controller-manager that it has to do with, and the other way round.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import yaml

from lightship.builtin.api import JOB_SETS
from lightship.emulation.api import STAGES
from lightship.main import install
from oracle import manifests, programs, servers, worlds
from tests.pairings import fates
from tests.pairings.user import EMULATED

HALF = (
    *("clusterrole-aggregation-controller", "cronjob-controller", "daemonset-controller", "deployment-controller"),
    *("endpointslice-controller", "garbage-collector-controller", "job-controller", "node-lifecycle-controller"),
    *("persistentvolumeclaim-protection-controller", "pod-garbage-collector-controller", "resourcequota-controller"),
    *("serviceaccount-controller", "statefulset-controller"),
)
"""The others work on what these have made, or the other way round: ReplicaSets and Endpoints, evictions and TTLs, namespaces, budgets,
autoscalers, claims of devices."""
OTHER_WAY_ROUND = tuple(name for name in HALF if name != "node-lifecycle-controller")
"""Theirs that sees pods off tainted nodes finds none where theirs that taints nodes does not run: it looks into an index of that one."""
MANAGER_FLAGS = (
    *("--use-service-account-credentials", "--kube-api-qps=2000", "--kube-api-burst=4000", "--node-monitor-period=1s"),
    "--horizontal-pod-autoscaler-sync-period=1s",
)


class World(NamedTuple):
    """Who does what. `ours` are controllers of ours, `theirs` those of kube-controller-manager, each as a list for `--controllers`."""

    name: str
    server: str = servers.OURS
    ours: str = "*"
    theirs: str = "none"
    our_scheduler: bool = True
    our_jobset: bool = True
    our_nodes: bool = False


def _but(names: tuple[str, ...]) -> str:
    return ",".join(("*", *(f"-{name}" for name in names)))


MATRIX = (
    World("ours", our_nodes=True),
    World("kwok"),
    World("kcm", ours="none", theirs="*"),
    World("half-kcm", ours=_but(HALF), theirs=",".join(HALF)),
    World("other-half-kcm", ours=",".join(OTHER_WAY_ROUND), theirs=_but(OTHER_WAY_ROUND)),
    World("kube-scheduler", our_scheduler=False),
    World("jobset-manager", our_jobset=False),
    World("all-theirs-but-nodes", ours="none", theirs="*", our_scheduler=False, our_jobset=False, our_nodes=True),
    World("real-all-ours", server=servers.REAL, our_nodes=True),
    World("real-our-scheduler", server=servers.REAL, ours="none", theirs="*", our_jobset=False),
    World("real-our-nodes", server=servers.REAL, ours="none", theirs="*", our_scheduler=False, our_jobset=False, our_nodes=True),
)


@contextmanager
def started(world: World) -> Iterator[worlds.World]:
    """The programs of a world for the length of a block; nodes appear when they are made."""
    own = _listed(world)
    ours = world.server == servers.OURS
    flags = ("--scheduler=lightship" if world.our_scheduler else "--scheduler=none",)
    with worlds.world(world.server, controllers=own, flags=flags if ours else ()) as found:
        stages = _stages(found.server.directory)
        if not ours:
            found.apply(install.definitions([*([JOB_SETS] if world.our_jobset else []), *([STAGES] if world.our_nodes else [])]))
        if not world.our_jobset:
            found.operator(worlds.JOBSET)
        if world.theirs != "none":
            _manager(found, world.theirs)
        if not world.our_scheduler:
            user = found.server.acting_as("system:kube-scheduler")
            found.start("kube-scheduler", programs.scheduler(user, found.server.directory, port=programs.free_port()))
        if not ours:
            _ours(found, world, own)
        if world.our_nodes:
            found.apply([*manifests.read("stages"), *fates.stages()])
        else:
            found.apply(manifests.read("kwok"))
            account = found.server.account("kube-system", "kwok-controller")
            found.start("kwok", programs.kwok(account, stages, port=programs.free_port(), only=EMULATED))
        yield found


def _listed(world: World) -> str:
    """Our controllers as their flag takes them: first, whether those of JobSets and of emulated nodes are among them."""
    jobset = ("jobset",) if world.our_jobset else ("-jobset", "-trainjob")
    words = (*jobset, "emulation" if world.our_nodes else "-emulation", *(world.ours.split(",") if world.ours != "none" else ()))
    if world.ours == "none":
        words = tuple(word for word in words if not word.startswith("-"))
    return ",".join(words) or "none"


def _stages(directory: Path) -> Path:
    path = directory / "stages.yaml"
    path.write_text(yaml.safe_dump_all([*manifests.read("stages"), *fates.stages()]))
    return path


def _manager(found: worlds.World, controllers: str) -> None:
    user = found.server.acting_as("system:kube-controller-manager")
    arguments = programs.controller_manager(
        user, found.server.directory, port=programs.free_port(), controllers=controllers, flags=MANAGER_FLAGS
    )
    found.start("kube-controller-manager", arguments)


def _ours(found: worlds.World, world: World, own: str) -> None:
    """Our parts as clients of a server that is not ours."""
    scheduler = ["--scheduler"] if world.our_scheduler else []
    arguments = ["-m", "tests.pairings.ours", f"--controllers={own}", *scheduler, str(found.server.kubeconfig)]
    found.start("lightship", arguments, program=sys.executable)
