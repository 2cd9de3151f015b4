"""How the text of an override becomes a value. Each reader raises `ValueError` with what it wants instead.

Called through the table in `options`. Standard library only.
Contract: values as the SDK's TorchTuneConfig and OmegaConf write them.
"""

import ast
import re
from collections.abc import Callable


def whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ValueError(f"a whole number of at least {least}")
        return int(text)

    return read


def number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError("a number of at least 0")
    return found


def switch(text: str) -> bool:
    try:
        return {"true": True, "false": False}[text.strip().lower()]
    except KeyError:
        raise ValueError("True or False") from None


def never(text: str) -> None:
    if switch(text):
        raise ValueError("False here")


def one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return read


def ending(*choices: str) -> Callable[[str], str]:
    """A dotted name, of which the last part counts: `torchtune.datasets.instruct_dataset`."""

    def read(text: str) -> str:
        return one_of(*choices)(text.rpartition(".")[2])

    return read


def words(text: str) -> tuple[str, ...]:
    """A list as the SDK (`[a,b]`) or Python (`['a', 'b']`) writes it, or a single word."""
    inner = text.strip().removeprefix("[").removesuffix("]")
    return tuple(word for word in (part.strip().strip("'\"") for part in inner.split(",")) if word)


def mapping(text: str) -> dict[str, str]:
    """A map as the SDK (Python's `{'a': 'b'}`) or OmegaConf (`{a: b}`) writes it."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        found = {key.strip(): value.strip() for key, value in re.findall(r"([^{},:]+):([^{},]+)", text)}
    if not isinstance(found, dict) or not found:
        raise ValueError("a map like {input: question, output: answer}")
    return {str(key): str(value) for key, value in found.items()}
