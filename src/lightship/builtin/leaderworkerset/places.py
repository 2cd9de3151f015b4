"""What the names and annotations of pods say about their place in a group. Pure; read by `pods`, `tpu` and `groups`.

Contract: names of StatefulSets' pods; LeaderWorkerSet 0.9 refuses pods that are named otherwise, in these words.
"""

import re

_NUMBERED = re.compile("(.*)-([0-9]+)", re.ASCII)
_NUMBER = re.compile("[+-]?[0-9]+", re.ASCII)
_LARGEST = 2**31 - 1


class PodRefusedError(ValueError):
    """The pod says that it belongs to a set, and lacks what its controllers give every pod."""


def parent_and_ordinal(name: str) -> tuple[str, int]:
    """What a pod of a StatefulSet is named after, and its number; ("", -1) for another name."""
    found = _NUMBERED.fullmatch(name)
    if found is None:
        return "", -1
    return found[1], int(found[2]) if int(found[2]) <= _LARGEST else -1


def number(text: str) -> int:
    """Raises `PodRefusedError`."""
    if not _NUMBER.fullmatch(text):
        raise PodRefusedError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)
