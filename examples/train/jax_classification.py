# ruff: noqa: PLC0415  the function travels alone to the pods, so it must bring its imports along
"""JAX on two processes: one array over all of them, one program, and gradients that XLA adds up between the nodes.

After Kubeflow Trainer's example jax/image-classification/mnist, with data that is made on the spot.
Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient


def train_classifier(steps: int = 30, batch_size: int = 128) -> None:
    import os

    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import nnx
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    address, processes, number = (os.environ[name] for name in names)
    jax.distributed.initialize(address, int(processes), int(number))
    rank, world = jax.process_index(), jax.process_count()
    print(f"process {rank} of {world} sees {jax.device_count()} devices, {jax.local_device_count()} its own", flush=True)

    mesh = Mesh(np.array(jax.devices()), ("data",))
    shared, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    total = jax.jit(jnp.sum, out_shardings=shared)(jax.make_array_from_process_local_data(split, np.full(1, rank + 1.0)))
    print("sum over processes", int(total), flush=True)

    centres = np.random.default_rng(0).normal(size=(10, 64))
    graph, state = nnx.split(nnx.Sequential(nnx.Linear(64, 32, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(32, 10, rngs=nnx.Rngs(1))))
    optimizer = optax.adam(0.01)
    opt_state = optimizer.init(state)

    @jax.jit
    def step(state: nnx.State, opt_state: tuple, images: jax.Array, labels: jax.Array) -> tuple:
        def loss_of(state: nnx.State) -> tuple:
            logits = nnx.merge(graph, state)(images)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), (logits.argmax(-1) == labels).mean()

        (loss, accuracy), gradients = jax.value_and_grad(loss_of, has_aux=True)(state)
        updates, opt_state = optimizer.update(gradients, opt_state, state)
        return loss, accuracy, optax.apply_updates(state, updates), opt_state

    mine = np.random.default_rng(rank + 1)
    for number in range(1, steps + 1):
        labels = mine.integers(0, 10, batch_size // world)
        images = (centres[labels] + mine.normal(size=(len(labels), 64))).astype(np.float32)
        batch = [jax.make_array_from_process_local_data(split, part) for part in (images, labels)]
        loss, accuracy, state, opt_state = step(state, opt_state, *batch)
        if rank == 0 and number in (1, steps):
            print(f"step {number} loss {float(loss):.4f} accuracy {float(accuracy):.1%}", flush=True)
    jax.distributed.shutdown()


def main(client: TrainerClient) -> str:
    job: str = client.train(runtime="jax-distributed", trainer=CustomTrainer(func=train_classifier, num_nodes=2))
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
