"""Tokens per second of a fine-tuning TrainJob against a bare script that does the same with TRL.

    python -m benchmarks.llm_finetune [--rounds 3] [--steps 60] [--cpu]

A language model with random weights is made first (about a billion of them on a GPU; half a million with `--cpu`, which proves the script
and says little). Then, in turn: a TrainJob on `trl-sft`, started by the unmodified SDK's BuiltinTrainer, and a plain script with the same
model, data, batch and steps, by the same interpreter. What is compared is the speed that transformers measures, from first step to last.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import kubernetes
import yaml
from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import BuiltinTrainer, TorchTuneConfig, TrainerClient

from benchmarks.pod_first_line import interpreter
from benchmarks.report import Series, machine, table
from benchmarks.startup import platform
from benchmarks.tiers import HERE
from lightship.node.images.builtin import LANGUAGE

RUNTIME = Path(__file__).parents[1] / "src" / "lightship" / "train" / "data" / "runtimes" / "trl-sft.yaml"
GROUP, VERSION = "trainer.kubeflow.org", "v1alpha1"
BATCH, LENGTH, SECONDS = 4, 512, 3600
SIZES = {"cpu": (64, 2, 4), "gpu": (2048, 16, 32)}
"""Hidden size, layers, heads."""
MAKE = """
import json, random, sys
from pathlib import Path
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
folder, hidden, layers, heads, rows = Path(sys.argv[1]), *map(int, sys.argv[2:])
words = ["<unk>", "<s>", "</s>", "<pad>", *(f"w{i}" for i in range(8188))]
tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder / "model")
sizes = {"hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
config = LlamaConfig(vocab_size=len(words), num_key_value_heads=heads, bos_token_id=1, eos_token_id=2, pad_token_id=3, **sizes)
LlamaForCausalLM(config).save_pretrained(folder / "model")
(folder / "dataset").mkdir()
with open(folder / "dataset" / "train.jsonl", "w") as file:
    for _ in range(rows):
        file.write(json.dumps({"text": " ".join(random.choices(words[4:], k=600))}) + "\\n")
"""
BARE = """
import sys, torch
from datasets import load_dataset
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer
folder, batch, length, cpu = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "cpu"
model = AutoModelForCausalLM.from_pretrained(f"{folder}/model", dtype=torch.float32 if cpu else torch.bfloat16)
args = SFTConfig(
    output_dir=f"{folder}/bare", per_device_train_batch_size=batch, num_train_epochs=1, max_length=length, bf16=not cpu, use_cpu=cpu,
    activation_checkpointing=False, logging_steps=1, save_strategy="no", report_to="none", learning_rate=2e-5, disable_tqdm=True,
    dataloader_pin_memory=not cpu,
)
trainer = SFTTrainer(model=model, args=args, train_dataset=load_dataset(f"{folder}/dataset", split="train"))
trainer.train()
trainer.save_state()
"""


class Jobs:
    """Fine-tunes in a workspace of this machine through the SDK."""

    def __init__(self, kubeconfig: str, workspace: Path, gpu: bool) -> None:
        self._workspace, self._gpu = workspace, gpu
        self._sdk = TrainerClient(KubernetesBackendConfig(config_file=kubeconfig))
        custom = kubernetes.client.CustomObjectsApi(kubernetes.config.new_client_from_config(kubeconfig))
        custom.create_namespaced_custom_object(GROUP, VERSION, "default", "trainingruntimes", _runtime(workspace))

    def run(self) -> float:
        resources = {"gpu": 1} if self._gpu else None
        config = TorchTuneConfig(batch_size=BATCH, epochs=1, resources_per_node=resources)
        name = self._sdk.train(runtime="bench", trainer=BuiltinTrainer(config=config))
        self._sdk.wait_for_job_status(name, timeout=SECONDS, polling_interval=1)
        self._sdk.delete_job(name)
        return speed(self._workspace / "output")


def _runtime(workspace: Path) -> dict[str, Any]:
    """trl-sft without initializers, over a folder of this machine."""
    found: dict[str, Any] = yaml.safe_load(RUNTIME.read_text())
    found |= {"kind": "TrainingRuntime", "metadata": {**found["metadata"], "name": "bench", "namespace": "default"}}
    spec = found["spec"]["template"]["spec"]
    del spec["volumeClaimPolicies"]
    node = next(job for job in spec["replicatedJobs"] if job["name"] == "node")
    del node["dependsOn"]
    spec["replicatedJobs"] = [node]
    pod = node["template"]["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "initializer", "hostPath": {"path": str(workspace)}}]
    pod["containers"][0]["command"] += [f"tokenizer.max_seq_len={LENGTH}"]
    return found


def bare(python: str, workspace: Path, kind: str) -> float:
    _script(python, BARE, str(workspace), str(BATCH), str(LENGTH), kind)
    return speed(workspace / "bare")


def speed(output: Path) -> float:
    """Tokens per second of a run, by what its trainer has written."""
    history = json.loads((output / "trainer_state.json").read_text())["log_history"]
    tokens = max(float(entry.get("num_tokens", 0)) for entry in history)
    return tokens / max(float(entry.get("train_runtime", 0)) for entry in history)


def _script(python: str, text: str, *arguments: str) -> None:
    host = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")}
    subprocess.run([python, "-c", text, *arguments], check=True, env=host, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--cpu", action="store_true", help="a small model on the processor")
    options = parser.parse_args()
    if not options.cpu and not Path("/dev/nvidiactl").exists():
        print("no NVIDIA GPU here: nothing is measured; --cpu runs the same with a small model")
        return
    kind = "cpu" if options.cpu else "gpu"
    python = interpreter(LANGUAGE)
    workspace = Path(tempfile.mkdtemp(prefix="lightship-bench-"))
    series = Series("TrainJob, tokens/s"), Series("bare script, tokens/s"), Series("TrainJob / bare")
    try:
        _script(python, MAKE, str(workspace), *map(str, SIZES[kind]), str(options.steps * BATCH))
        with platform(HERE, "--allow-host-path") as (status, _):
            jobs = Jobs(status["kubeconfig"], workspace, not options.cpu)
            for _ in range(options.rounds):
                ours, theirs = jobs.run(), bare(python, workspace, kind)
                for figure, value in zip(series, (ours, theirs, ours / theirs), strict=True):
                    figure.add(value)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    print(f"\n{machine()}\n\n{table(list(series))}")


if __name__ == "__main__":
    main()
