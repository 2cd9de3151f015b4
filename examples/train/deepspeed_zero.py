# ruff: noqa: PLC0415  the function travels alone to the pods, so it must bring its imports along
"""DeepSpeed with ZeRO stage 1 on two nodes, with the official Kubeflow SDK: `mpirun` starts the processes, DeepSpeed divides the optimizer.

Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`. The
first run builds the environment of the runtime's image, once.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient


def train_with_zero(steps: int) -> None:
    """Learn a line. The SDK ships the source of this function, so it brings its imports along."""
    import deepspeed
    import torch
    import torch.distributed as dist

    if not torch.cuda.is_available():  # else each pod compiles it first, which takes a minute
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo")
    model = torch.nn.Linear(2, 1)
    config = {
        "train_micro_batch_size_per_gpu": 32,
        "optimizer": {"type": "SGD", "params": {"lr": 0.1}},
        "zero_optimization": {"stage": 1},
        "zero_allow_untested_optimizer": True,
    }
    engine, _, _, _ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=config)
    for step in range(steps):
        inputs = torch.randn(32, 2, device=engine.device)
        targets = inputs @ torch.tensor([[3.0], [-2.0]], device=engine.device) + 1
        loss = torch.nn.functional.mse_loss(engine(inputs), targets)
        engine.backward(loss)
        engine.step()
        if step % 10 == 0 and dist.get_rank() == 0:
            print(f"step {step} loss {loss.item():.4f}", flush=True)
    print(f"rank {dist.get_rank()} of {dist.get_world_size()} learnt {engine.module.weight.tolist()}", flush=True)
    dist.barrier()
    dist.destroy_process_group()


def main(client: TrainerClient) -> str:
    trainer = CustomTrainer(func=train_with_zero, func_args={"steps": 60}, num_nodes=2)
    job: str = client.train(runtime="deepspeed-distributed", trainer=trainer)
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
