"""Compiles what a container may ask of the kernel into the program that the kernel runs at every system call.

Pure; called by `seccomp`. Neighbouring calls with one verdict become a range and ranges a search tree, so that a call costs a handful of
comparisons however long the list is. Calls of a foreign convention (32-bit programs, x32) are answered as if they did not exist.
Contract: seccomp(2), linux/bpf_common.h (struct sock_filter: code, jt, jf, k), linux/seccomp.h.
"""

import errno
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

ALLOW = 0x7FFF0000
LOG = 0x7FFC0000
TRACE = 0x7FF00000
TRAP = 0x00030000
KILL_THREAD = 0x00000000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

_LOAD, _AND, _RETURN, _JUMP, _EQUAL, _GREATER, _AT_LEAST = 0x20, 0x54, 0x06, 0x05, 0x15, 0x25, 0x35
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_LONGEST_JUMP = 255
_WORD = 0xFFFFFFFF

Code = list[tuple[int, int, int, int]]


def refuse(code: int) -> int:
    """The verdict of an error that the caller sees."""
    return _ERRNO | code & 0xFFFF


class Condition(NamedTuple):
    """What must hold of one argument, all 64 bits of it; `mask` is for the comparison `&`, `(argument & mask) == value`."""

    argument: int
    compare: str
    """`==`, `!=`, `<`, `<=`, `>`, `>=` or `&`."""
    value: int
    mask: int = 0


class Rule(NamedTuple):
    """A verdict for when all conditions hold."""

    conditions: tuple[Condition, ...]
    verdict: int


class Verdict(NamedTuple):
    """The first rule that holds decides, else `otherwise`."""

    otherwise: int
    rules: tuple[Rule, ...] = ()


def compile_filter(architecture: int, calls: Mapping[int, Verdict], unknown: int) -> bytes:
    """The program for `calls` by number; `unknown` is the verdict for all others. Raises `ValueError` when the kernel would not take it."""
    absent = refuse(errno.ENOSYS)
    code: Code = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, absent), (_LOAD, 0, 0, _NUMBER)]
    code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, absent)]
    code += _search(_ranges(calls, Verdict(unknown)))
    if len(code) > 4096:
        raise ValueError(f"a filter of {len(code)} instructions: the kernel takes 4096")
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _ranges(calls: Mapping[int, Verdict], unknown: Verdict) -> list[tuple[int, Verdict]]:
    """Where each run of equal verdicts begins."""
    found: list[tuple[int, Verdict]] = [(0, calls.get(0, unknown))]
    for number in range(1, max(calls, default=0) + 2):
        verdict = calls.get(number, unknown)
        if verdict != found[-1][1]:
            found.append((number, verdict))
    return found


def _search(ranges: Sequence[tuple[int, Verdict]]) -> Code:
    if len(ranges) == 1:
        return _decide(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    if len(below) <= _LONGEST_JUMP:
        return [(_AT_LEAST, len(below), 0, ranges[middle][0]), *below, *above]
    return [(_AT_LEAST, 0, 1, ranges[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]


def _decide(verdict: Verdict) -> Code:
    code: Code = []
    for rule in verdict.rules:
        code += _rule(rule)
    return [*code, (_RETURN, 0, 0, verdict.otherwise)]


def _rule(rule: Rule) -> Code:
    """The conditions one after another; the first that fails jumps behind the verdict."""
    code: Code = [(_RETURN, 0, 0, rule.verdict)]
    for condition in reversed(rule.conditions):
        code = _COMPARISONS[condition.compare](condition, len(code)) + code
    return code


# Below, `missed` is how many instructions lie between the end of a comparison and the next rule. Each compares the high word first.


def _equal(condition: Condition, missed: int) -> Code:
    return [
        (_LOAD, 0, 0, _high(condition)),
        (_EQUAL, 0, missed + 2, condition.value >> 32),
        (_LOAD, 0, 0, _low(condition)),
        (_EQUAL, 0, missed, condition.value & _WORD),
    ]


def _not_equal(condition: Condition, missed: int) -> Code:
    return [
        (_LOAD, 0, 0, _high(condition)),
        (_EQUAL, 0, 2, condition.value >> 32),
        (_LOAD, 0, 0, _low(condition)),
        (_EQUAL, missed, 0, condition.value & _WORD),
    ]


def _masked(condition: Condition, missed: int) -> Code:
    return [
        (_LOAD, 0, 0, _high(condition)),
        (_AND, 0, 0, condition.mask >> 32),
        (_EQUAL, 0, missed + 3, condition.value >> 32),
        (_LOAD, 0, 0, _low(condition)),
        (_AND, 0, 0, condition.mask & _WORD),
        (_EQUAL, 0, missed, condition.value & _WORD),
    ]


def _above(low: int) -> Callable[[Condition, int], Code]:
    """More than the value by the high word, or equal there and decided by the low one: with `_GREATER` or `_AT_LEAST`."""

    def compare(condition: Condition, missed: int) -> Code:
        return [
            (_LOAD, 0, 0, _high(condition)),
            (_GREATER, 3, 0, condition.value >> 32),
            (_EQUAL, 0, missed + 2, condition.value >> 32),
            (_LOAD, 0, 0, _low(condition)),
            (low, 0, missed, condition.value & _WORD),
        ]

    return compare


def _below(low: int) -> Callable[[Condition, int], Code]:
    """The opposite of `_above`."""

    def compare(condition: Condition, missed: int) -> Code:
        return [
            (_LOAD, 0, 0, _high(condition)),
            (_GREATER, missed + 3, 0, condition.value >> 32),
            (_EQUAL, 0, 2, condition.value >> 32),
            (_LOAD, 0, 0, _low(condition)),
            (low, missed, 0, condition.value & _WORD),
        ]

    return compare


def _low(condition: Condition) -> int:
    return _ARGUMENTS + 8 * condition.argument


def _high(condition: Condition) -> int:
    return _low(condition) + 4


_COMPARISONS: dict[str, Callable[[Condition, int], Code]] = {
    "==": _equal,
    "!=": _not_equal,
    "&": _masked,
    ">": _above(_GREATER),
    ">=": _above(_AT_LEAST),
    "<": _below(_AT_LEAST),
    "<=": _below(_GREATER),
}
