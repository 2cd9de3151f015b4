"""torchtune: the command line of the SDK's BuiltinTrainer, completed from the runtime.

The SDK sends `tune run` and a list of overrides. Which recipe and configuration that means, where the processes meet and where the model
lies is added here, for the program `tune` in the pods (`train.runtime.tune`) or for torchtune itself. `torch` asks `drives`, since such a
command finds its first node by an option and not by variables.
A runtime whose own command names one of `OWN_RECIPES` is no torchtune runtime but one of ours: it takes any model and any number of nodes.
Contract: Trainer 2.3 torch plugin, torchtune part; KEP-2401.
"""

from collections.abc import Iterator, Sequence

from lightship.meta.errors import Cause, invalid_value
from lightship.train import resources
from lightship.train.api import NODE, TRAINER
from lightship.train.api.causes import rejected
from lightship.train.api.names import TRAINER_PORT

from .plan import Plan

COMMAND = ["tune", "run"]
OWN_RECIPES = ("sft", "dpo")
"""Recipes that torchtune does not have: any causal language model, LoRA or not as the arguments say."""
IMMUTABLE = ("output_dir", "tokenizer.path", "checkpointer.checkpoint_dir", "tokenizer.merges_file")
"""What only the runtime says."""
_LLAMA_70B = "llama3_3/70B"
_QWEN = "qwen2_5/1.5B"
_SMALL_LLAMAS = ("llama3_2/1B", "llama3_2/3B")
MODELS = (*_SMALL_LLAMAS, _LLAMA_70B, _QWEN)
_LORA = "model.lora_attn_modules"
_QUANTIZE = "model.quantize_base"
_DORA = "model.use_dora"


class TorchTune:
    name = "TorchTune"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        if not drives(plan):
            return
        if own_recipe(plan) is None:
            yield from _check_torchtune(plan)
        for i, argument in enumerate(_arguments(plan)):
            key = argument.partition("=")[0]
            if key in IMMUTABLE:
                message = f'must not set immutable config "{key}" in trainer args; it is managed by the runtime'
                yield invalid_value(f"spec.trainer.args[{i}]", argument, message)

    def enforce_ml_policy(self, plan: Plan) -> None:
        if not drives(plan) or plan.trainer_container is None:
            return
        trainer = {**(plan.trainer_spec or {}), "command": command(plan)}
        plan.job = {**plan.job, "spec": {**plan.job["spec"], "trainer": trainer}}  # the TrainJob itself is shared: a plan of another one


def drives(plan: Plan) -> bool:
    """Is this a TrainJob of the BuiltinTrainer on a torch runtime?"""
    return plan.source == "torch" and (plan.trainer_spec or {}).get("command") == COMMAND


def command(plan: Plan) -> list[str]:
    """`tune run` with what the TrainJob leaves unsaid. Counts nodes: to be called when they are final."""
    nodes = plan.trainer.count if plan.trainer else 1
    gpus = resources.gpus(plan.resources_per_node())
    processes = _processes(plan)
    if processes is None and not gpus:
        processes = max(1, resources.cpus(plan.resources_per_node()))
    found = list(COMMAND)
    if nodes > 1 or (gpus if processes is None else processes) > 1:
        found.append(f"--rdzv_endpoint={plan.master}:{TRAINER_PORT}")
    own = own_recipe(plan)
    if own is not None:
        return [*found, own, *overrides(plan)]
    recipe, config = choose(plan.job["spec"]["runtimeRef"]["name"], nodes, processes, gpus, _arguments(plan))
    return [*found, recipe, "--config", config, *overrides(plan, only=IMMUTABLE)]


def choose(runtime: str, nodes: int, processes: int | None, gpus: int, arguments: Sequence[str]) -> tuple[str, str]:
    """Recipe and configuration of torchtune for so many nodes, processes on each (None: auto) and GPUs on each."""
    qlora, lora = wants_qlora(arguments), wants_lora(arguments)
    if nodes == 1 and (processes == 1 or gpus == 1):
        kind = "qlora" if qlora else "lora" if lora else "full"
        recipe, suffix = f"{kind.removeprefix('q')}_finetune_single_device", f"_{kind}_single_device"
    elif nodes == 1 and (qlora or lora):
        recipe, suffix = "lora_finetune_distributed", "_qlora" if qlora else "_lora"
    else:
        recipe, suffix = "full_finetune_distributed", "_full_multinode" if nodes > 1 else "_full"
    return recipe, model_of(runtime) + suffix


def model_of(runtime: str) -> str:
    """The model in a runtime's name: `torchtune-llama3.2-1b` → `llama3_2/1B`; empty when the name has not three parts."""
    parts = runtime.split("-")
    return f"{parts[1].replace('.', '_')}/{parts[2].upper()}" if len(parts) == 3 else ""


def wants_lora(arguments: Sequence[str]) -> bool:
    return any(_LORA in argument for argument in arguments)


def wants_qlora(arguments: Sequence[str]) -> bool:
    return not _is_on(arguments, _DORA) and _is_on(arguments, _QUANTIZE)


def own_recipe(plan: Plan) -> str | None:
    """The recipe that the runtime's own command names, if it is one of ours."""
    said = _runtime_command(plan)
    if said[:2] != COMMAND:
        return None
    return next((word for word in said[2:] if word in OWN_RECIPES), None)


def overrides(plan: Plan, only: Sequence[str] = ()) -> list[str]:
    """What the runtime's own command sets (`name=value`): everything, or just some names."""
    words = (word for word in _runtime_command(plan) if "=" in word and not word.startswith("-"))
    return [word for word in words if not only or word.partition("=")[0] in only]


def _check_torchtune(plan: Plan) -> Iterator[Cause]:
    trainer = plan.trainer_spec or {}
    runtime = plan.job["spec"]["runtimeRef"]["name"]
    model = model_of(runtime)
    if model not in MODELS:
        message = f"must have a supported pretrained model, invalid model configured: {model}"
        yield invalid_value("spec.runtimeRef.name", runtime, message)
    nodes = trainer.get("numNodes")
    nodes = 1 if nodes is None else nodes
    if nodes > 1 and model != _LLAMA_70B:
        yield invalid_value("spec.trainer.numNodes", nodes, f"must be 1 for {model} model")
    yield from _check_qlora(plan, runtime, model, nodes)
    arguments = _arguments(plan)
    if nodes > 1 and (wants_lora(arguments) or wants_qlora(arguments)):
        yield invalid_value("spec.trainer.numNodes", nodes, "LoRA fine-tuning is not supported for multi-node training in TorchTune")


def _check_qlora(plan: Plan, runtime: str, model: str, nodes: int) -> Iterator[Cause]:
    processes = _processes(plan)
    config = choose(runtime, nodes, processes, resources.gpus(plan.resources_per_node()), _arguments(plan))[1]
    if "_qlora" not in config:
        return
    if model == _QWEN:
        yield invalid_value("spec.runtimeRef.name", runtime, f"QLoRA is not supported for {model} model")
    if not config.endswith("_single_device") and model in _SMALL_LLAMAS:
        asked = (plan.trainer_spec or {}).get("resourcesPerNode")
        message = f"must be auto or 1 for {model} model when using QLoRA"
        yield invalid_value("spec.trainer.numProcPerNode", "auto" if processes is None else processes, message)
        message = f"must have gpu resource with value 1 for {model} model when using QLoRA"
        yield rejected("spec.trainer.resourcesPerNode", None if asked is None else resources.merge({}, asked), message)


def _processes(plan: Plan) -> int | None:
    """Processes per node as asked for; None: auto."""
    asked = (plan.trainer_spec or {}).get("numProcPerNode")
    return None if asked is None else int(asked)


def _arguments(plan: Plan) -> list[str]:
    return list((plan.trainer_spec or {}).get("args") or ())


def _runtime_command(plan: Plan) -> list[str]:
    """What the trainer's container of the runtime runs: there alone, and never in another job's container of that name."""
    for pods in plan.pod_sets:
        for container in pods.pod.get("containers") or () if pods.ancestor == TRAINER else ():
            if container.get("name") == NODE:
                return [str(word) for word in container.get("command") or ()]
    return []


def _is_on(arguments: Sequence[str], option: str) -> bool:
    """Is there `option=True`, whatever its case?"""
    pairs: Iterator[tuple[str, str, str]] = (argument.partition("=") for argument in arguments)
    return any(option in name and value.strip().lower() == "true" for name, _, value in pairs)
