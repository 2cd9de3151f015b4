"""A training function that imports modules of its own, through the official SDK: `python examples/train/ship.py` beside a running platform.

The SDK sends the source of the function and nothing else. `ship` sends a folder along.
"""

from pathlib import Path

from kubeflow.trainer import CustomTrainer, TrainerClient

from lightship.train.shipping import ship


def train() -> None:
    import torch  # noqa: PLC0415  # the function travels alone
    from curve import share  # noqa: PLC0415
    from net.model import Net  # noqa: PLC0415

    x, y = share(0, 1)
    with torch.no_grad():
        print("loss before training", torch.nn.functional.mse_loss(Net()(x), y).item())


def main(client: TrainerClient) -> str:
    trainer = CustomTrainer(func=train, resources_per_node={"cpu": 1})
    job: str = client.train(runtime="torch-distributed", trainer=trainer, options=[ship(Path(__file__).parent / "workspace")])
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
