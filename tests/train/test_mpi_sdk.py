"""MPI, DeepSpeed and MLX on two nodes: the official, unmodified Kubeflow SDK against a running platform.

The functions below travel to the pods as source. Real time is unavoidable here: the SDK polls, and pods are processes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lightship.kinds import PODS
from lightship.meta import objects
from lightship.testing import Cluster, cluster

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
OWN = {"LIGHTSHIP_MPIRUN": "own"}
SECONDS = 900
"""The first job of an image waits until its environment is built."""


@pytest.fixture(scope="module")
def platform() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def sdk(platform: Cluster) -> Any:
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import TrainerClient

    return TrainerClient(KubernetesBackendConfig(config_file=platform.kubeconfig))


def run(sdk: Any, func: Callable[..., None], *, runtime: str, want: str = "Complete", **trainer: Any) -> tuple[str, list[str]]:
    """Name of the job, and what node 0 printed; the job must end as wanted."""
    from kubeflow.trainer import CustomTrainer

    name: str = sdk.train(runtime=runtime, trainer=CustomTrainer(func=func, num_nodes=2, **trainer))
    job = sdk.wait_for_job_status(name, status={"Complete", "Failed"}, timeout=SECONDS, polling_interval=1)
    log = list(sdk.get_job_logs(name))
    assert job.status == want, "\n".join(log)
    return name, log


def exit_code(platform: Cluster, name: str) -> int:
    """How the launcher ended."""
    pods = platform.run(platform.client.list(PODS, "default")).items
    launcher = next(pod for pod in pods if objects.name(pod).startswith(f"{name}-launcher-"))
    return int(launcher["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"])


def train_with_mlx() -> None:
    import os

    import mlx.core as mx
    from mlx import nn, optimizers

    world = mx.distributed.init(strict=True, backend="mpi")
    mx.random.seed(world.rank())
    model = nn.Linear(2, 1)
    model.update(nn.utils.tree_map(lambda p: mx.distributed.all_sum(p) / world.size(), model.parameters()))
    inputs = mx.random.normal((64, 2))
    targets = inputs @ mx.array([[3.0], [-2.0]]) + 1
    step = nn.value_and_grad(model, lambda x, y: nn.losses.mse_loss(model(x), y))
    optimizer = optimizers.SGD(learning_rate=0.1)
    for _ in range(60):
        _, gradients = step(inputs, targets)
        optimizer.update(model, nn.average_gradients(gradients))
        mx.eval(model.parameters(), optimizer.state)
    weights = [round(w, 1) for w in (*model.weight[0].tolist(), model.bias.item())]
    print("rank", world.rank(), "of", world.size(), "learnt", weights, os.environ["GREETING"], flush=True)


def train_with_deepspeed(backend: str) -> None:
    import deepspeed
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # else each pod compiles it first, for a minute
    deepspeed.init_distributed(dist_backend=backend)
    torch.manual_seed(dist.get_rank())
    model = torch.nn.Linear(2, 1)
    config = {
        "train_micro_batch_size_per_gpu": 32,
        "optimizer": {"type": "SGD", "params": {"lr": 0.1}},
        "zero_optimization": {"stage": 1},
        "zero_allow_untested_optimizer": True,
    }
    engine, _, _, _ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=config)
    for _ in range(60):
        inputs = torch.randn(32, 2)
        targets = inputs @ torch.tensor([[3.0], [-2.0]]) + 1
        loss = torch.nn.functional.mse_loss(engine(inputs), targets)
        engine.backward(loss)
        engine.step()
    weights = [round(w, 1) for w in (*engine.module.weight[0].tolist(), engine.module.bias.item())]
    print("rank", dist.get_rank(), "of", dist.get_world_size(), "stage", engine.zero_optimization_stage(), "learnt", weights, flush=True)
    dist.barrier()
    dist.destroy_process_group()


def sum_with_mpi() -> None:
    import os

    from mpi4py import MPI

    world = MPI.COMM_WORLD
    total = world.allreduce(world.rank + 1)
    print("rank", world.rank, "of", world.size, "sum", total, os.environ["GREETING"], flush=True)


def test_mpi(sdk: Any) -> None:
    name, log = run(sdk, sum_with_mpi, runtime="mlx-distributed", env={"GREETING": "a bow"})
    assert sorted(log) == ["rank 0 of 2 sum 3 a bow", "rank 1 of 2 sum 3 a bow"]
    assert {step.name for step in sdk.get_job(name).steps} <= {"node-0", "node-1"}


def test_mlx(sdk: Any) -> None:
    _, log = run(sdk, train_with_mlx, runtime="mlx-distributed", env={"GREETING": "a bow"})
    assert sorted(log) == [f"rank {rank} of 2 learnt [3.0, -2.0, 1.0] a bow" for rank in (0, 1)]


def test_what_a_rank_fails_with_is_how_the_job_ends(sdk: Any, platform: Cluster) -> None:
    def fail() -> None:
        import os
        import sys
        import threading

        if os.environ["OMPI_COMM_WORLD_RANK"] == "0":  # on the other node than the launcher
            sys.exit(7)
        threading.Event().wait()

    for environment in ({}, OWN):
        name, _ = run(sdk, fail, runtime="mlx-distributed", want="Failed", env=environment)
        assert exit_code(platform, name) == 7


def test_own_launcher(sdk: Any) -> None:
    def who() -> None:
        import os

        print(*(os.environ[name] for name in ("OMPI_COMM_WORLD_RANK", "PMI_SIZE", "LOCAL_RANK", "GREETING")), flush=True)

    _, log = run(sdk, who, runtime="mlx-distributed", env={"GREETING": "a bow", **OWN})
    assert sorted(log) == ["0 2 0 a bow", "1 2 0 a bow"]


@pytest.mark.parametrize("launcher", [{}, OWN], ids=["Open MPI's", "our own"])
def test_deepspeed(sdk: Any, launcher: dict[str, str]) -> None:
    _, log = run(sdk, train_with_deepspeed, runtime="deepspeed-distributed", func_args={"backend": "gloo"}, env=launcher)
    learnt = [line for line in log if line.startswith("rank ")]
    assert sorted(learnt) == [f"rank {rank} of 2 stage 1 learnt [3.0, -2.0, 1.0]" for rank in (0, 1)]
