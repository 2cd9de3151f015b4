"""Stored bytes in less memory: what objects of one template have in common is kept once.

Objects of a kind differ in their names, uids and times, and are the same text else. A `Form` is that text with gaps, made from two values
that are alike; a value that fits one is kept as what stands in the gaps, and is put together again in a microsecond. `records` packs what
has cooled down, with the packer of its `bucket`, and unpacks for readers. Knows no JSON but this: between two quotes there is no third, so
gaps begin and end at quotes.
"""

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

LEAST, MOST = 256, 32_768
"""Bytes of a value that is worth the work, and that is not too much work."""
GAPS = 64
"""In how many places values of one form may differ."""
FORMS = 8
"""Forms of a kind that are tried; those that were of no use longest are forgotten, except by the values that have them."""
_QUOTE = b'"'
_PATIENCE = 16
"""Values in a row that may fit no form before forms are looked for less often: in every second, fourth ... value, `_RAREST` at last."""
_RAREST = 256


class Form:
    """A text with gaps."""

    __slots__ = ("_first", "_gaps", "_rest", "_text")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """`pieces` are what stands before, between and after the gaps; quotes are on both sides of each gap, but that an empty last piece
        means that a value ends with a gap."""
        self._first = pieces[0]
        self._rest = tuple(piece for piece in pieces[1:] if piece)
        self._gaps = len(pieces) - 1
        self._text = b"%b".join(piece.replace(b"%", b"%%") for piece in pieces)

    def pack(self, value: bytes) -> bytes | None:
        """What is in the gaps of a value of this form; None for one that is not."""
        if not value.startswith(self._first):
            return None
        at = len(self._first)
        found = []
        for piece in self._rest:
            end = value.find(_QUOTE, at)
            if end < 0 or not value.startswith(piece, end):
                return None
            found.append(value[at:end])
            at = end + len(piece)
        if len(self._rest) < self._gaps:
            found.append(value[at:])
            if _QUOTE in found[-1]:
                return None
        elif at < len(value):
            return None
        return _QUOTE.join(found)

    def unpack(self, packed: bytes) -> bytes:
        """The value of which `pack` made this."""
        return self._text % tuple(packed.split(_QUOTE))


class Packer:
    """Finds forms for the values of one kind, and tries those of use lately first. Not to be shared by threads."""

    def __init__(self) -> None:
        self._forms: list[Form] = []
        self._samples: dict[int, list[bytes]] = {}  # by the number of their tokens: each waits for one that is like it
        self._gaps: dict[int, set[int]] = {}
        self._misses = 0

    def pack(self, value: bytes) -> tuple[Form, bytes] | None:
        """A form and what is in its gaps; None for values that are best kept as they are."""
        if not LEAST <= len(value) <= MOST:
            return None
        forms = self._forms
        for place, form in enumerate(forms):
            packed = form.pack(value)
            if packed is not None:
                if place:
                    del forms[place]
                    forms.insert(0, form)
                self._misses = 0
                return form, packed
        self._misses += 1
        rarely = min(1 << (self._misses // _PATIENCE), _RAREST)
        if self._misses % rarely == 0:
            self._learn(value)
        return None

    def _learn(self, value: bytes) -> None:
        """Make a form of this value and one before it that is like it: for the next one, since a form takes more than a value does."""
        tokens = value.split(_QUOTE)
        count = len(tokens)
        before = self._samples.pop(count, None)
        self._samples[count] = tokens
        if len(self._samples) > FORMS:
            oldest = next(iter(self._samples))
            del self._samples[oldest]
            self._gaps.pop(oldest, None)
        if before is None:
            return
        differ = {place for place, (one, other) in enumerate(zip(before, tokens, strict=True)) if one != other}
        wide = differ | self._gaps.get(count, set())  # what differed in others will differ again
        gaps = wide if _is_worth(tokens, wide) else differ
        if 0 in gaps or not _is_worth(tokens, gaps):
            self._gaps.pop(count, None)
            return
        self._gaps[count] = gaps
        self._forms.insert(0, Form(_pieces(tokens, sorted(gaps))))
        del self._forms[FORMS:]


def _is_worth(tokens: Sequence[bytes], gaps: set[int]) -> bool:
    """Is less than half of the value in the gaps, and are they few?"""
    if not gaps or len(gaps) > GAPS:
        return False
    total = len(tokens) + sum(map(len, tokens))
    return 2 * sum(map(len, itemgetter(*gaps, 0)(tokens))) < total


def _pieces(tokens: Sequence[bytes], gaps: Sequence[int]) -> list[bytes]:
    """What stands around the tokens at `gaps`, the first of which is no gap."""
    edges = [-1, *gaps, len(tokens)]
    found = []
    for start, end in pairwise(edges):
        inner = [b""] * (start >= 0) + list(tokens[start + 1 : end]) + [b""] * (end < len(tokens))
        found.append(_QUOTE.join(inner))
    return found
