# ruff: noqa: PLC0415  the function travels alone to the pods, so it must bring its imports along
"""LoRA with PEFT on two nodes: a causal language model keeps its weights, and small matrices beside them learn.

The model is made on the spot, a Llama of two layers whose vocabulary is characters, so nothing is fetched from a hub; put
`AutoModelForCausalLM.from_pretrained(...)` in its place for a real one.
Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient


def fine_tune(steps: int = 40, rank: int = 8) -> None:
    import torch
    import torch.distributed as dist
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    text = "the quick brown fox jumps over the lazy dog . " * 20
    letters = sorted(set(text))
    tokens = torch.tensor([letters.index(letter) for letter in text])
    data = [{"input_ids": piece, "labels": piece} for piece in tokens.unfold(0, 32, 3)]

    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    base = LlamaForCausalLM(LlamaConfig(vocab_size=len(letters), max_position_embeddings=64, tie_word_embeddings=False, **shape))
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=4 * rank, target_modules="all-linear", task_type="CAUSAL_LM"))
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    kept = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir="adapter",
            max_steps=steps,
            per_device_train_batch_size=8,
            learning_rate=1e-2,
            logging_steps=10,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=data,
    )
    trainer.train()

    unchanged = all(torch.equal(kept[name], p.detach().cpu()) for name, p in model.named_parameters() if name in kept)
    print(f"process {dist.get_rank()} of {dist.get_world_size()}: {learning} parameters learnt, base unchanged: {unchanged}", flush=True)
    if dist.get_rank() == 0:
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} at last", flush=True)
        model.save_pretrained("adapter")
    dist.barrier()
    dist.destroy_process_group()


def main(client: TrainerClient) -> str:
    trainer = CustomTrainer(func=fine_tune, image="huggingface/transformers-pytorch-gpu", num_nodes=2, env={"OMP_NUM_THREADS": "1"})
    job: str = client.train(runtime="torch-distributed", trainer=trainer)
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
