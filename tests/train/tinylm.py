"""A language model of a few thousand parameters, its tokenizer and small data sets, written as Hugging Face keeps them.

By the standard library alone, so that nobody who only writes files has to load a framework: safetensors is a header and raw numbers.
"""

import json
import random
import struct
from pathlib import Path

HIDDEN, INNER, HEADS, LAYERS = 16, 32, 2, 2
WORDS = [
    "<unk>",
    "<s>",
    "</s>",
    "<pad>",
    *["red", "green", "blue", "yes", "no", "one", "two", "three", "is", "what", "colour", "sum", "of", "and", "the", "a", "?"],
]
_QUESTIONS = {"the sum of one and one": "two", "the sum of one and two": "three", "the colour blue": "blue", "the colour red": "red"}


def model(folder: Path, seed: int = 0) -> Path:
    """A Llama with random weights."""
    folder.mkdir(parents=True)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (len(WORDS), HIDDEN), "model.norm.weight": (HIDDEN,)}
    shapes["lm_head.weight"] = (len(WORDS), HIDDEN)
    for layer in range(LAYERS):
        name = f"model.layers.{layer}"
        shapes |= {f"{name}.self_attn.{part}_proj.weight": (HIDDEN, HIDDEN) for part in "qkvo"}
        shapes |= {f"{name}.mlp.{part}_proj.weight": (INNER, HIDDEN) for part in ("gate", "up")}
        shapes |= {f"{name}.mlp.down_proj.weight": (HIDDEN, INNER)}
        shapes |= {f"{name}.{part}_layernorm.weight": (HIDDEN,) for part in ("input", "post_attention")}
    _safetensors(folder / "model.safetensors", shapes, random.Random(seed))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(WORDS),
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
        "tie_word_embeddings": False,
        "dtype": "float32",
    }
    _write(folder / "config.json", config)
    special = [{"id": i, "content": WORDS[i], "special": True, **dict.fromkeys(_FLAGS, False)} for i in range(4)]
    tokenizer = {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(WORDS)}, "unk_token": "<unk>"},
        **dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder")),
    }
    _write(folder / "tokenizer.json", tokenizer)
    names = dict(zip(("unk_token", "bos_token", "eos_token", "pad_token"), WORDS, strict=False))
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names})
    return folder


def alpaca(folder: Path, count: int = 48) -> Path:
    """Instructions, as the alpaca data set has them."""
    rows = [{"instruction": f"what is {q} ?", "input": "", "output": a} for q, a in _QUESTIONS.items()]
    return _lines(folder, rows, count)


def preferences(folder: Path, count: int = 48) -> Path:
    """Pairs of answers, the right one preferred."""
    rows = [{"prompt": f"what is {q} ?", "chosen": a, "rejected": "green"} for q, a in _QUESTIONS.items()]
    return _lines(folder, rows, count)


_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


def _lines(folder: Path, rows: list[dict[str, str]], count: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(rows[i % len(rows)]) + "\n" for i in range(count)))
    return folder


def _safetensors(file: Path, shapes: dict[str, tuple[int, ...]], dice: random.Random) -> None:
    """Contract: safetensors format 1: length of the header, header, tensors in its order."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    numbers: list[float] = []
    for name, shape in shapes.items():
        begin, size = len(numbers), shape[0] * (shape[1] if len(shape) > 1 else 1)
        numbers += [1.0] * size if len(shape) == 1 else [dice.gauss(0, 0.1) for _ in range(size)]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin * 4, len(numbers) * 4]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack(f"<{len(numbers)}f", *numbers))


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content))
