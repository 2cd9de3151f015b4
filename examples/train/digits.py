"""Train on the handwritten digits on two nodes, with the official Kubeflow SDK. Nothing here knows Lightship but the function's home.

Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient

from lightship.train.runtime.digits import train_digits


def main(client: TrainerClient) -> str:
    # Any function of your own will do; it must bring its imports along.
    trainer = CustomTrainer(func=train_digits, func_args={"epochs": 10}, num_nodes=2, resources_per_node={"cpu": 1, "memory": "2Gi"})
    job: str = client.train(runtime="torch-distributed", trainer=trainer)
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
