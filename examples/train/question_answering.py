# ruff: noqa: PLC0415  the function travels alone to the pods, so it must bring its imports along
"""Hugging Face's Trainer on two nodes: a DistilBERT learns to point at who danced, or where, or when.

After Kubeflow Trainer's example pytorch/question-answering, with a model of two layers, a tokenizer and sentences that are made on the
spot, so nothing is fetched from a hub. The image brings transformers; with your own, name them in `packages_to_install` instead.
Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient


def fine_tune(epochs: int = 4, sentences: int = 832) -> None:
    import random

    import torch
    import torch.distributed as dist
    from tokenizers import Tokenizer, models, pre_tokenizers
    from torch.utils.data import Subset
    from transformers import DistilBertConfig, DistilBertForQuestionAnswering, Trainer, TrainingArguments

    dice = random.Random(0)
    facts = {
        "who": ["anna", "ben", "carla", "dan"],
        "where": ["rome", "oslo", "quito", "delhi"],
        "when": ["monday", "tuesday", "friday", "sunday"],
    }
    words = ["[PAD]", "[SEP]", "danced", *facts, *(word for known in facts.values() for word in known)]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[PAD]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    def example() -> dict[str, list[int] | int]:
        asked, kinds = dice.choice(list(facts)), dice.sample(list(facts), len(facts))
        text = f"{asked} danced [SEP] " + " danced ".join(dice.choice(facts[kind]) for kind in kinds)
        answer = 3 + 2 * kinds.index(asked)
        return {"input_ids": tokenizer.encode(text).ids, "start_positions": answer, "end_positions": answer}

    data = [example() for _ in range(sentences)]
    torch.manual_seed(0)
    shape = {"dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 4, "initializer_range": 0.05}
    calm = {"dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0}
    config = DistilBertConfig(vocab_size=len(words), max_position_embeddings=32, **shape, **calm)
    trainer = Trainer(
        model=DistilBertForQuestionAnswering(config),
        args=TrainingArguments(
            output_dir="answers",
            num_train_epochs=epochs,
            per_device_train_batch_size=16,
            learning_rate=3e-3,
            logging_strategy="epoch",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Subset(data, range(sentences - 64)),
    )
    trainer.train()

    held_out = data[-64:]
    trainer.model.eval()
    with torch.no_grad():
        device = trainer.model.device
        guesses = trainer.model(torch.tensor([e["input_ids"] for e in held_out], device=device)).start_logits.argmax(-1)
    right = sum(int(guess) == e["start_positions"] for guess, e in zip(guesses, held_out, strict=True))
    print(f"process {dist.get_rank()} of {dist.get_world_size()}: {right} of 64 answers right", flush=True)
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
