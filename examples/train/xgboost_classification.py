# ruff: noqa: PLC0415  the function travels alone to the pods, so it must bring its imports along
"""XGBoost on two workers: each holds a share of the rows, and all build the same trees.

After Kubeflow Trainer's example xgboost/distributed-training, with the breast cancer data that scikit-learn brings.
Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient


def train_trees(rounds: int = 20) -> None:
    import hashlib
    import os

    import xgboost as xgb
    from sklearn.datasets import load_breast_cancer
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import train_test_split
    from xgboost import collective
    from xgboost.tracker import RabitTracker

    rank, world = int(os.environ["DMLC_TASK_ID"]), int(os.environ["DMLC_NUM_WORKER"])
    uri, port = os.environ["DMLC_TRACKER_URI"], int(os.environ["DMLC_TRACKER_PORT"])
    tracker = None
    if rank == 0:  # the tracker introduces the workers to each other; it runs beside the first of them
        tracker = RabitTracker(host_ip="0.0.0.0", n_workers=world, port=port)
        tracker.start()
    with collective.CommunicatorContext(dmlc_tracker_uri=uri, dmlc_tracker_port=port, dmlc_task_id=str(rank)):
        print(f"worker {collective.get_rank()} of {collective.get_world_size()}", flush=True)
        features, labels = load_breast_cancer(return_X_y=True)
        kept, held_out, kept_labels, held_out_labels = train_test_split(features, labels, test_size=0.2, random_state=0)
        mine = xgb.QuantileDMatrix(kept[rank::world], label=kept_labels[rank::world])
        parameters = {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 4, "eta": 0.3, "nthread": 1}
        model = xgb.train(parameters, mine, num_boost_round=rounds)
        guesses = model.predict(xgb.DMatrix(held_out)) > 0.5
        print(f"accuracy {accuracy_score(held_out_labels, guesses):.4f}", flush=True)
        print("trees", hashlib.sha256(model.save_raw("json")).hexdigest()[:12], flush=True)
    if tracker is not None:
        tracker.wait_for()


def main(client: TrainerClient) -> str:
    job: str = client.train(runtime="xgboost-distributed", trainer=CustomTrainer(func=train_trees, num_nodes=2))
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
