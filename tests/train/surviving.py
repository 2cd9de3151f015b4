"""The programs of the tests of survival: two ranks learn, and at some steps between two checkpoints one of them stops for ever.

There it waits to be killed, so no test has to be quick, and what is lost is the same each time: half the steps between two checkpoints.
Those that are to be suspended first are slow for a while in their first life. In the end each program trains once more, on the same ranks,
from the beginning and without checkpoints, and says how far its losses are from those of that run, which nobody disturbed: not at all.
Functions travel to pods alone, so each brings its imports along.
"""


def torch_learns(victims: list[int], *, sharded: bool = False, every: int = 10) -> None:
    """In DDP, or sharded in FSDP; victims are the ranks that stop, one for each life but the last."""
    import gc
    import threading
    from typing import Any

    import torch
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    from lightship.train.runtime.checkpoint.pytorch import Checkpoints, Sharded

    steps = every * (len(victims) + 1)

    def fresh() -> Any:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
        return fully_shard(network, mesh=init_device_mesh("cpu", (2,))) if sharded else DistributedDataParallel(network)

    def learn(*, disturbed: bool) -> list[float]:
        rank, model = dist.get_rank(), fresh()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        saved = (Sharded if sharded else Checkpoints)(model=model, optimizer=optimizer)
        first = saved.resume() if disturbed else 0
        life = first // every
        losses: list[float] = saved.values.setdefault("losses", [])
        if disturbed:
            print(f"rank {rank} goes on after step {first}", flush=True)
        for step in range(first, steps):
            if disturbed and victims[life : life + 1] == [rank] and step == first + every + every // 2:
                threading.Event().wait()
            mine = torch.randn(64, 8, generator=torch.Generator().manual_seed(step))[rank::2]
            loss = torch.nn.functional.mse_loss(model(mine), mine.sin().sum(1, keepdim=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            mean = loss.detach()
            dist.all_reduce(mean)
            losses.append(mean.item() / 2)
            if disturbed:
                if rank == 0:
                    print(f"step {step + 1}", flush=True)
                saved.step(step + 1, every=every)
        return losses

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    furthest = max(abs(a - b) for a, b in zip(learn(disturbed=True), learn(disturbed=False), strict=True))
    print(f"finished: losses differ by {furthest}", flush=True)
    dist.barrier()
    gc.collect()  # what is left of the models holds on to the process group
    dist.destroy_process_group()


def jax_learns(victim: int, steps: int = 30, every: int = 10, fatal: int = 25) -> None:
    """One program over two processes."""
    import os
    import threading
    from typing import Any

    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from lightship.train.runtime.checkpoint.jax import resume, save

    address, processes, number = (os.environ[name] for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"))
    jax.distributed.initialize(address, int(processes), int(number))
    rank = jax.process_index()
    split = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))

    def loss_of(weights: Any, batch: Any) -> Any:
        return jnp.mean((jnp.tanh(batch @ weights["in"]) @ weights["out"] - jnp.sin(batch).sum(1, keepdims=True)) ** 2)

    @jax.jit  # type: ignore[untyped-decorator]  # not installed here
    def update(weights: Any, batch: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, batch)
        return loss, jax.tree.map(lambda weight, gradient: weight - 0.05 * gradient, weights, gradients)

    def learn(*, disturbed: bool) -> Any:
        dice = np.random.default_rng(0)
        weights = {"in": dice.normal(size=(8, 32)).astype(np.float32), "out": dice.normal(size=(32, 1)).astype(np.float32) / 8}
        first, state = 0, (weights, np.zeros(steps))
        if disturbed:
            first, state = resume(state)
            print(f"rank {rank} goes on after step {first}", flush=True)
        weights, losses = state
        for step in range(first, steps):
            if disturbed and rank == victim and step == fatal and first < fatal - every // 2:
                threading.Event().wait()
            if disturbed and first == 0 and step > every:
                threading.Event().wait(1)
            mine = np.random.default_rng(step).normal(size=(64, 8)).astype(np.float32)[rank::2]
            loss, weights = update(weights, jax.make_array_from_process_local_data(split, mine))
            losses[step] = float(loss)
            if disturbed:
                if rank == 0:
                    print(f"step {step + 1}", flush=True)
                save(step + 1, (weights, losses), every=every)
        return losses

    furthest = np.abs(learn(disturbed=True) - learn(disturbed=False)).max()
    print(f"finished: losses differ by {furthest}", flush=True)
    jax.distributed.shutdown()


def trainer_learns(victims: list[int], every: int = 10) -> None:
    """Hugging Face's Trainer, with a model of its own that needs no hub. In the end one rank alone hears that it must go, and all leave."""
    import os
    import signal
    import threading
    from typing import Any

    import torch
    import torch.distributed as dist
    from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

    from lightship.train.runtime.checkpoint import directory
    from lightship.train.runtime.checkpoint.huggingface import SaveAndLeave, last

    steps = every * (len(victims) + 1)

    class Small(PreTrainedModel):  # type: ignore[misc]  # not installed here
        config_class = PretrainedConfig

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.layers = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(32, 1))
            self.post_init()

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            return {"loss": torch.nn.functional.mse_loss(self.layers(x), labels)}

    class Told(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self.first = state.global_step
            print(f"rank {dist.get_rank()} goes on after step {self.first}", flush=True)

        def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            here = state.global_step == self.first + every + every // 2
            if here and victims[self.first // every :][:1] == [dist.get_rank()]:
                threading.Event().wait()

        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            if dist.get_rank() == 0:
                print(f"step {state.global_step}", flush=True)

    class Called(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            if state.global_step == 3 and dist.get_rank() == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    def learn(place: str, callbacks: list[Any], resume: str | None) -> list[float]:
        torch.manual_seed(0)
        drawn = torch.randn(4 * 2 * steps, 8)
        data = [{"x": x, "labels": x.sin().sum(0, keepdim=True)} for x in drawn]
        course: dict[str, Any] = {"per_device_train_batch_size": 4, "num_train_epochs": 1, "learning_rate": 0.01, "logging_steps": 1}
        quiet: dict[str, Any] = {"report_to": "none", "disable_tqdm": True, "save_total_limit": 2}
        saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": every}
        arguments = TrainingArguments(output_dir=place, **course, **quiet, **saving)
        trainer = Trainer(Small(PretrainedConfig()), arguments, train_dataset=data, callbacks=callbacks)
        trainer.train(resume_from_checkpoint=resume)
        return [said["loss"] for said in trainer.state.log_history if "loss" in said]

    torch.set_num_threads(1)
    survived = learn(str(directory()), [SaveAndLeave(), Told()], last())
    furthest = max(abs(a - b) for a, b in zip(survived, learn("undisturbed", [], None), strict=True))
    print(f"finished: losses differ by {furthest}", flush=True)
    try:
        learn("left", [Called(), SaveAndLeave()], None)
    except SystemExit as left:
        print(f"left with {left.code} and {os.listdir('left')}", flush=True)
