"""An elastic PyTorch job: it takes the nodes that are free, up to four, and gives them back, while it trains.

Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
While it runs, `kubectl annotate trainjob NAME --overwrite lightship.dev/nodes=1` takes nodes away, and
`kubectl annotate trainjob NAME lightship.dev/nodes-` gives them back. The function is the one of survivor.py, unchanged: what survives a
failure survives a change of size.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient
from kubeflow.trainer.options import Annotations
from survivor import train


def main(client: TrainerClient) -> str:
    trainer = CustomTrainer(func=train, num_nodes=1, resources_per_node={"cpu": 1, "memory": "1Gi"})
    breathes = Annotations({"lightship.dev/min-nodes": "1", "lightship.dev/max-nodes": "4"})
    job: str = client.train(runtime="torch-distributed", trainer=trainer, options=[breathes])
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
