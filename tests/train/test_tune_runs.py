"""Language models are fine-tuned for real: the unmodified SDK's BuiltinTrainer, nodes and processes that train together, what they save.

The model has a few thousand weights and is made on the spot. Our initializers fetch it from a stand-in of the hub, and examples from one
of S3, into the job's volume. The runtimes are the shipped ones and that of `language-model.yaml`, with the hub's address and a learning
rate for so small a model. Real time is unavoidable: pods are processes.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightship.aio.clock import SystemClock, pause
from lightship.kinds import PODS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.testing import Cluster, cluster
from lightship.train.api import MODEL_INITIALIZER, NODE, TRAINING_RUNTIMES
from lightship.train.bootstrap import runtimes
from tests.train import tinylm
from tests.train.initializers import standin

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
SECONDS = 900
EXAMPLE = Path(__file__).parents[2] / "examples" / "train" / "language-model.yaml"
IMAGE = "ghcr.io/kubeflow/trainer/torchtune-trainer"
CHECK = """
import json, sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
for name in sys.argv[1:]:
    folder = f"/{name}/output"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(f"/{name}/model" if name == "lora" else folder)
    if name == "lora":
        model = PeftModel.from_pretrained(model, folder)
    said = model.generate(**tokenizer("what is the colour blue ?", return_tensors="pt"), max_new_tokens=1, do_sample=False)
    history = json.load(open(f"{folder}/trainer_state.json"))["log_history"]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    print("found", name, type(model).__name__, tokenizer.decode(said[0][-1:]), losses[0], losses[-1])
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("given")
    with cluster() as running:
        hub = standin.start(running, "hub", "Hub", repr(_files(tinylm.model(folder / "model"), "models/acme/tiny")))
        sets = tinylm.alpaca(folder / "alpaca"), tinylm.preferences(folder / "preferences")
        standin.start(running, "s3", "S3", repr({name: body for each in sets for name, body in _files(each, f"sets/{each.name}").items()}))
        shipped = {objects.name(runtime): runtime for runtime in runtimes()}
        example, _ = yaml.safe_load_all(EXAMPLE.read_text())
        for name, runtime, words in (
            ("full", shipped["trl-sft"], ["optimizer.lr=0.02", "epochs=4"]),
            ("lora", example, ["optimizer.lr=0.05", "epochs=2", "lr_scheduler.num_warmup_steps=0"]),
            ("typo", shipped["trl-sft"], ["optimiser.lr=1"]),
            ("dpo", shipped["trl-dpo"], ["optimizer.lr=0.01"]),
        ):
            running.run(running.client.create(TRAINING_RUNTIMES, _runtime(runtime, name, hub, words)))
        yield running


def _files(folder: Path, where: str) -> dict[str, bytes]:
    return {f"{where}/{file.name}": file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def sdk(platform: Cluster) -> Any:
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import TrainerClient

    return TrainerClient(KubernetesBackendConfig(config_file=platform.kubeconfig))


def _runtime(runtime: Obj, name: str, hub: str, words: list[str]) -> Obj:
    """A runtime with another hub; of words that contradict each other the later win."""
    found: Obj = objects.copy(runtime)
    found |= {"kind": "TrainingRuntime", "metadata": {**found["metadata"], "name": name, "namespace": "default"}}
    jobs = {job["name"]: job["template"]["spec"]["template"]["spec"] for job in found["spec"]["template"]["spec"]["replicatedJobs"]}
    jobs[MODEL_INITIALIZER]["containers"][0].setdefault("env", []).append({"name": "HF_ENDPOINT", "value": hub})
    jobs[NODE]["containers"][0]["command"] += words
    return found


def tune(sdk: Any, runtime: str, want: str = "Complete", examples: str = "alpaca", **config: Any) -> tuple[str, str]:
    """Train with the BuiltinTrainer, to the end; name of the job and log of node 0."""
    from kubeflow.trainer import BuiltinTrainer, HuggingFaceModelInitializer, Initializer, S3DatasetInitializer, TorchTuneConfig

    bucket = {"endpoint": "http://s3:8000", "access_key_id": "key", "secret_access_key": "secret"}
    sources = Initializer(
        dataset=S3DatasetInitializer(storage_uri=f"s3://sets/{examples}", **bucket),
        model=HuggingFaceModelInitializer(storage_uri="hf://acme/tiny"),
    )
    name = sdk.train(runtime=runtime, initializer=sources, trainer=BuiltinTrainer(config=TorchTuneConfig(**config)))
    clock = SystemClock()
    deadline = clock.monotonic() + SECONDS
    while sdk.get_job(name).status not in ("Complete", "Failed"):
        assert clock.monotonic() < deadline, "waited in vain"
        pause(0.5)
    log = "\n".join(sdk.get_job_logs(name))
    assert sdk.get_job(name).status == want, log
    return name, log


def fetched(platform: Cluster) -> list[str]:
    """The files that the stand-ins have been asked for, listings aside."""
    paths = [*standin.asked(platform, "hub"), *standin.asked(platform, "s3")]
    return sorted(path.rpartition("/")[2] for path in paths if "/resolve/" in path or path.endswith(".jsonl"))


def test_models_are_tuned_and_load_again(sdk: Any, platform: Cluster) -> None:
    from kubeflow.trainer import DataType, LoraConfig, Loss, TorchTuneInstructDataset

    full, log = tune(sdk, "full", num_nodes=2, batch_size=4, dtype=DataType.FP32, loss=Loss.CEWithChunkedOutputLoss)
    assert "sft, full: training 5872 of 5872 parameters of /workspace/model with 48 examples in 2 processes" in log, log
    once = fetched(platform)
    assert once == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "train.jsonl"]

    adapter = LoraConfig(lora_rank=4, apply_lora_to_mlp=True)
    lora, log = tune(
        sdk, "lora", peft_config=adapter, dataset_preprocess_config=TorchTuneInstructDataset(), resources_per_node={"cpu": "1500m"}
    )
    assert "sft, lora: training 1920 of 7792 parameters of /workspace/model with 48 examples in 2 processes" in log, log

    assert fetched(platform) == once, "the second job has what the first one fetched"
    for step, size in ("dataset-initializer", "1 file"), ("model-initializer", "4 files"):
        assert re.search(rf"{size}, 0 B fetched, .* from earlier downloads of this namespace", "\n".join(sdk.get_job_logs(lora, step=step)))

    dpo, log = tune(sdk, "dpo", examples="preferences")
    assert fetched(platform) == sorted([*once, "train.jsonl"]), "other examples, the same model"
    assert "dpo, full: training 5872 of 5872 parameters of /workspace/model with 48 examples in 1 process" in log, log

    said = _afterwards(platform, full=full, lora=lora, dpo=dpo)
    found = {words[1]: words[2:] for words in map(str.split, said) if words[:1] == ["found"]}
    assert len(found) == 3, said
    assert [found[name][0] for name in ("full", "lora", "dpo")] == ["LlamaForCausalLM", "PeftModelForCausalLM", "LlamaForCausalLM"]
    assert found["full"][1] == "blue"
    for first, last in (map(float, words[2:]) for words in found.values()):
        assert last < first / 1.2


def _afterwards(platform: Cluster, **jobs: str) -> list[str]:
    """What a pod that has transformers and PEFT says of the models that were saved."""
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in jobs]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": f"initializer-{job}"}} for name, job in jobs.items()]
    container = {"name": "check", "image": IMAGE, "command": ["python", "-c", CHECK, *jobs], "volumeMounts": mounts}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    metadata = {"generateName": "check-", "namespace": "default"}
    pod = platform.run(platform.client.create(PODS, {"metadata": metadata, "spec": spec}))
    clock = SystemClock()
    deadline = clock.monotonic() + SECONDS
    while platform.run(platform.client.get(PODS, objects.name(pod), "default"))["status"].get("phase") not in ("Succeeded", "Failed"):
        assert clock.monotonic() < deadline, "waited in vain"
        pause(0.2)
    return platform.run(_log(platform, objects.name(pod))).splitlines()


async def _log(platform: Cluster, pod: str) -> str:
    return b"".join([chunk async for chunk in platform.client.logs("default", pod)]).decode()


def test_what_is_wrong_fails_the_job_before_anything_is_loaded(sdk: Any) -> None:
    log = tune(sdk, "typo", "Failed")[1]
    assert log.startswith('tune: "optimiser.lr" is not an option of this trainer. Did you mean "optimizer.lr"? Known are: batch_size'), log
