"""Examples for TRL: files of the dataset's folder, read with `datasets` and brought into the shape that a trainer expects.

Called by `fitting`. Shapes are known by their columns (alpaca, question and answer, conversations, preferences, plain text), or by what
torchtune calls them. With a tokenizer that has a chat template, prompts become conversations.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets

from .errors import TuneError
from .settings import Settings

_KINDS = {
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
    ".xml": "xml",
}
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system", "tool": "tool"}
Shaper = Callable[[dict[str, Any]], dict[str, Any]]


def load(settings: Settings, chat: bool) -> Any:
    """The data set of a run, with the columns that TRL's trainers know. Raises `TuneError`."""
    found = _read(settings)
    if not len(found):
        raise TuneError(f"{_place(settings)} has no examples in split {settings.split}")
    for expected, real in settings.columns.items():
        if real not in found.column_names:
            raise TuneError(f"dataset.column_map: there is no column {real}, but {', '.join(found.column_names)}")
        if expected != real:
            found = found.remove_columns([expected]) if expected in found.column_names else found
            found = found.rename_column(real, expected)
    shaper = (_preference if settings.recipe == "dpo" else _instruction)(settings, set(found.column_names), chat)
    return found.map(shaper, remove_columns=found.column_names, desc="Reading examples")


def _read(settings: Settings) -> Any:
    kind, files = settings.data_kind, list(settings.data_files)
    try:
        if files:
            kind = kind or _KINDS.get(Path(files[0]).suffix, "json")
            return datasets.load_dataset(kind, data_files=files, split=settings.split)
        if kind:
            return datasets.load_dataset(kind, data_dir=settings.data_directory, split=settings.split)
        return datasets.load_dataset(settings.data_directory, split=settings.split)
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        raise TuneError(f"{_place(settings)} cannot be read as {kind or 'a data set'}: {error}") from error


def _place(settings: Settings) -> str:
    return ", ".join(settings.data_files) or settings.data_directory


def _instruction(settings: Settings, columns: set[str], chat: bool) -> Shaper:
    """What makes one example of supervised fine-tuning of one row."""
    listed = next((name for name in ("messages", "conversations") if name in columns), None)
    if listed and settings.shape in ("", "chat_dataset"):
        return lambda row: {"messages": [*_system(settings), *map(_message, row[listed])]}
    if "text" in columns and (settings.shape == "text_completion_dataset" or not columns & {"instruction", "prompt", "output"}):
        return lambda row: {"text": row["text"]}
    answer = next((name for name in ("output", "completion", "response", "answer") if name in columns), None)
    questions = [name for name in ("instruction", "prompt", "question", "input") if name in columns]
    if settings.columns and "input" in settings.columns:
        questions = ["input"]
    if answer is None or not questions:
        raise TuneError(
            f"{_place(settings)} has columns {', '.join(sorted(columns))}; this trainer knows instruction, input and output, prompt and "
            "completion, messages, or text: name yours with dataset.column_map"
        )

    def shape(row: dict[str, Any]) -> dict[str, Any]:
        asked = "\n\n".join(str(row[name]) for name in questions if row[name])
        return {"prompt": _asked(settings, asked, chat), "completion": _said(str(row[answer]), chat)}

    return shape


def _preference(settings: Settings, columns: set[str], chat: bool) -> Shaper:
    """What makes one pair of answers of one row."""
    if not {"chosen", "rejected"} <= columns:
        raise TuneError(
            f"{_place(settings)} has columns {', '.join(sorted(columns))}; preferences are prompt, chosen and rejected: name yours with "
            "dataset.column_map"
        )
    asked = next((name for name in ("prompt", "question", "instruction", "input") if name in columns), None)

    def shape(row: dict[str, Any]) -> dict[str, Any]:
        pair = {name: row[name] if isinstance(row[name], list) else _said(row[name], chat) for name in ("chosen", "rejected")}
        if asked is None or (chat and isinstance(row["chosen"], list) and len(row["chosen"]) > 1):
            return pair  # whole conversations: TRL finds what they have in common
        return {"prompt": row[asked] if isinstance(row[asked], list) else _asked(settings, row[asked], chat), **pair}

    return shape


def _asked(settings: Settings, text: str, chat: bool) -> Any:
    if chat:
        return [*_system(settings), {"role": "user", "content": text}]
    return "\n\n".join(filter(None, (settings.system_prompt, text))) + "\n\n"


def _said(text: str, chat: bool) -> Any:
    return [{"role": "assistant", "content": text}] if chat else text


def _system(settings: Settings) -> list[dict[str, str]]:
    return [{"role": "system", "content": settings.system_prompt}] if settings.system_prompt else []


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message of ours (`role`, `content`) or of ShareGPT (`from`, `value`)."""
    role = message.get("role") or message.get("from") or "user"
    return {"role": _ROLES.get(role, role), "content": message.get("content") or message.get("value") or ""}
