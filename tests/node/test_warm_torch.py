"""Programs that train, forked from a template that has torch: what they compute, seed, thread and start is as after a fresh import."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.images import builtin
from lightship.node.images.environments import Environment, Environments, cache_directory
from lightship.node.launch import warmth
from lightship.node.runtimes.runtime import Mount, Warm
from lightship.node.runtimes.sandbox import SandboxRuntime

from .contract import World
from .test_sandbox import abilities

pytestmark = [pytest.mark.slow, pytest.mark.torch]

TRIES = 5
"""A worker of which nobody hears in time is started in the usual way, which is right: on a busy machine that happens."""
FACTS = """
import sys; print("torch" in sys.modules)
import os, torch, numpy
print(torch.cuda.is_initialized(), torch.get_num_threads(), torch.get_num_interop_threads(), os.environ)
print((torch.ones(300, 300) @ torch.ones(300, 300)).sum().item(), numpy.ones((300, 300)).dot(numpy.ones((300, 300))).sum())
print(len(os.listdir("/proc/self/task")), torch.cuda.is_available())
"""
SEEDS = (
    "import sys; print('torch' in sys.modules)\nimport torch, numpy\nprint(torch.initial_seed(), torch.rand(1).item(), numpy.random.rand())"
)
TRAIN = """
import sys; print("torch" in sys.modules)
import os, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
if __name__ == "__main__":
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = DistributedDataParallel(torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = DataLoader(TensorDataset(torch.arange(64.0).reshape(16, 4) / 64), batch_size=4, num_workers=2)
    for (batch,) in loader:
        optimizer.zero_grad()
        loss = (model(batch) - batch.sum(1, keepdim=True)).square().mean()
        loss.backward()
        optimizer.step()
    print(dist.get_world_size(), round(loss.item(), 5), round(sum(p.sum().item() for p in model.parameters()), 5))
    dist.destroy_process_group()
"""
WORKER = """
import sys; sys.stdout.write(f"{'torch' in sys.modules}\\n")
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1); dist.all_reduce(total)
names = sorted(k for k in os.environ if k.startswith("TORCHELASTIC"))[:3]
sys.stdout.write(f"{names} {total.item()} {sys.argv} {torch.get_num_threads()}\\n")
dist.barrier(); dist.destroy_process_group()  # gloo's threads else abort a process that ends, now and then
sys.exit(int(sys.argv[1]) if os.environ["RANK"] == "1" else 0)
"""


@pytest.fixture(scope="module")
def environment() -> Environment:
    if not abilities().sandbox:
        pytest.skip(abilities().reason)
    environments = Environments(cache_directory(), SystemClock())
    return asyncio.run(environments.ensure([package.replace("{tag}", "2.13.0") for package in builtin.TORCH], lambda line: None))


class Torch:
    """A world with a template that has torch, and a folder of programs."""

    def __init__(self, w: World, environment: Environment) -> None:
        self.world = w
        self.environment = environment
        assert isinstance(w.runtime, SandboxRuntime)
        self.templates = w.runtime.templates
        self.code = w.directory / "code"

    async def ready(self) -> None:
        self.code.mkdir()
        for name, text in {"facts": FACTS, "seeds": SEEDS, "train": TRAIN, "worker": WORKER, "nothing": ""}.items():
            (self.code / f"{name}.py").write_text(text)
        await self.world.pod()
        await self.run(["python", "/code/nothing.py"])
        await self.templates.wait_made()
        assert [known.libraries for known in self.templates.known()] == [["numpy", "torch"]]

    async def start(self, argv: list[str], *, warm: bool = True, pod: str = "a", env: dict[str, str] | None = None) -> str:
        system = "/usr/local/bin:/usr/bin:/bin"
        variables = {"PATH": ":".join([*self.environment.path, system]), "PYTHONUNBUFFERED": "1", **(env or {})}
        lent = Warm(environment="torch", python=self.environment.python, libraries=["numpy", "torch"])
        return await self.world.start(
            argv,
            pod=pod,
            env=variables,
            mounts=[Mount(source=str(self.code), target="/code", read_only=True)],
            read_only_paths=self.environment.read_only_paths,
            warm=lent if warm else None,
        )

    async def run(self, argv: list[str], *, warm: bool = True, env: dict[str, str] | None = None) -> tuple[int, list[str]]:
        container = await self.start(argv, warm=warm, env=env)
        code = (await self.world.exit(container)).code
        return code, [line.replace(f"{warmth.COMMANDS}:", "") for line in self.lines(container)]  # a door is there for warm ones only

    def lines(self, container: str) -> list[str]:
        """Without torch's own notes."""
        return [line for line in self.world.log(container).splitlines() if not line.startswith(("[W", "W1", "W0"))]


def play(directory: Path, environment: Environment, story: Callable[[Torch], Any]) -> None:
    async def main() -> None:
        runtime = SandboxRuntime(clock=SystemClock())
        async with asyncio.timeout(240):
            await runtime.start()
            try:
                torch = Torch(World(runtime, directory), environment)
                await torch.ready()
                await story(torch)
            finally:
                await runtime.close()

    asyncio.run(main())


@pytest.mark.parametrize("env", [{}, {"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "999"}])
def test_a_forked_program_finds_torch_as_an_executed_one_does(tmp_path: Path, environment: Environment, env: dict[str, str]) -> None:
    async def story(torch: Torch) -> None:
        cold, warm = [await torch.run(["python", "/code/facts.py"], warm=choice, env=env) for choice in (False, True)]
        assert (cold[1].pop(0), warm[1].pop(0)) == ("False", str(int(env.get("OMP_NUM_THREADS", "1")) == 1))
        assert warm == cold

    play(tmp_path, environment, story)


def test_containers_have_chances_of_their_own(tmp_path: Path, environment: Environment) -> None:
    async def story(torch: Torch) -> None:
        results = [(await torch.run(["python", "/code/seeds.py"]))[1] for _ in range(2)]
        assert [lines[0] for lines in results] == ["True", "True"]
        first, second = [lines[1].split() for lines in results]
        assert not set(first) & set(second)

    play(tmp_path, environment, story)


def test_two_pods_train_together(tmp_path: Path, environment: Environment) -> None:
    async def story(torch: Torch) -> None:
        address = await torch.world.pod("first")
        await torch.world.pod("second")
        env = {"MASTER_ADDR": address, "MASTER_PORT": "29500", "WORLD_SIZE": "2"}
        ranks = [
            await torch.start(["python", "/code/train.py"], pod=pod, env={**env, "RANK": rank})
            for rank, pod in enumerate_text(["first", "second"])
        ]
        ends = [(await torch.world.exit(rank)).code for rank in ranks]
        logs = [torch.lines(rank) for rank in ranks]
        assert ends == [0, 0], logs
        assert logs[0] == logs[1]
        assert logs[0][0] == "True"
        assert logs[0][1].startswith("2 ")

    play(tmp_path, environment, story)


def enumerate_text(names: list[str]) -> list[tuple[str, str]]:
    return [(str(number), name) for number, name in enumerate(names)]


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("started_by", ["the container", "a shell"])
def test_torchrun_starts_workers(tmp_path: Path, environment: Environment, code: int, started_by: str) -> None:
    async def story(torch: Torch) -> None:
        argv = ["torchrun", "--nproc-per-node", "2", "/code/worker.py", str(code)]
        if started_by == "a shell":
            argv = ["bash", "-c", f"true; {' '.join(argv)}; exit $?"]
        cold = await torch.run(argv, warm=False)
        for _ in range(TRIES):
            warm = await torch.run(argv)
            if warm[1].count("True") == 2:
                break
        assert warm[0] == cold[0] == (1 if code else 0), (cold, warm)
        shown = [sorted(line for line in lines if line.startswith("['")) for _, lines in (cold, warm)]
        assert shown[0] == shown[1]
        assert len(shown[0]) == 2
        assert warm[1].count("True") == 2, "workers are forked too"

    play(tmp_path, environment, story)
