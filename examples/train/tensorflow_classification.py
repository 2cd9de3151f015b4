# ruff: noqa: PLC0415  the function travels alone to the pods, so it must bring its imports along
"""TensorFlow on two workers: MultiWorkerMirroredStrategy keeps one model the same on both, by the TF_CONFIG that each pod gets.

Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient


def train_classifier(steps: int = 30, batch_size: int = 128) -> None:
    import numpy as np
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    resolver = strategy.cluster_resolver
    print(f"worker {resolver.task_id} of {strategy.num_replicas_in_sync}", flush=True)

    centres = np.random.default_rng(0).normal(size=(10, 64))
    random = np.random.default_rng(resolver.task_id + 1)
    labels = random.integers(0, 10, steps * batch_size // strategy.num_replicas_in_sync)
    images = (centres[labels] + random.normal(size=(len(labels), 64))).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size // strategy.num_replicas_in_sync)

    with strategy.scope():
        tf.random.set_seed(0)
        layers = [tf.Variable(tf.random.normal([64, 32], stddev=0.1)), tf.Variable(tf.random.normal([32, 10], stddev=0.1))]

    @tf.function
    def step(images, labels):  # noqa: ANN001, ANN202
        def one(images, labels):  # noqa: ANN001, ANN202
            with tf.GradientTape() as tape:
                logits = tf.nn.relu(images @ layers[0]) @ layers[1]
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, tape.gradient(loss, layers))
            for layer, gradient in zip(layers, gradients, strict=True):
                layer.assign_sub(0.5 * gradient)
            return loss

        return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(one, args=(images, labels)), axis=None)

    for number, (some, theirs) in enumerate(data, 1):
        loss = step(some, theirs)
        if number in (1, steps):
            print(f"step {number} loss {float(loss):.4f}", flush=True)
    print(f"weights {float(tf.reduce_sum(layers[0])):.5f}", flush=True)


def main(client: TrainerClient) -> str:
    job: str = client.train(runtime="tensorflow-distributed", trainer=CustomTrainer(func=train_classifier, num_nodes=2))
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
