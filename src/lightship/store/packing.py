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
GAPS = 32
"""In how many places values of one form may differ."""
SHAPES, FORMS, SAMPLES = 128, 4, 3
"""Numbers of quotes that are told apart in a kind, and for each: forms that are tried, values that wait for others like them."""
_QUOTE = b'"'
_PATIENCE = 16
"""Values of a shape in a row that may fit no form before forms are made of every second, fourth ... value only, `_RAREST` at last."""
_RAREST = 256
_DEAR, _SAVED = 8, 64
"""Making a form takes as long as packing so many values, and so it may be done after so many only; how many can be saved up for it."""


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
    """Finds forms for the values of one kind. Not to be shared by threads.

    Values of one form have equally many quotes, which tells most others apart at once; those that have are of one shape.
    """

    def __init__(self) -> None:
        self._shapes: dict[int, _Shape] = {}
        self._last: Form | None = None
        self._credit = _SAVED

    def pack(self, value: bytes) -> tuple[Form, bytes] | None:
        """A form and what is in its gaps; None for values that are best kept as they are."""
        if not LEAST <= len(value) <= MOST:
            return None
        if self._last is not None:  # like objects come in rows, and counting takes as long as packing
            packed = self._last.pack(value)
            if packed is not None:
                return self._last, packed
        quotes = value.count(_QUOTE)
        shape = self._shapes.get(quotes)
        if shape is None:
            if len(self._shapes) >= SHAPES:
                self._forget_one()
            shape = self._shapes[quotes] = _Shape()
        found = shape.pack(value)
        self._credit = min(self._credit + 1, _SAVED)
        if found is not None:
            self._last = found[0]
        elif self._credit >= _DEAR and shape.is_worth_a_try():
            self._credit -= _DEAR
            shape.learn(value)
        return found

    def _forget_one(self) -> None:
        """Forget the shape that was of least use lately."""
        least = min(self._shapes, key=lambda quotes: self._shapes[quotes].uses)
        del self._shapes[least]
        for shape in self._shapes.values():
            shape.uses //= 2


class _Shape:
    """The forms of values with equally many quotes, those of use lately first."""

    __slots__ = ("_forms", "_gaps", "_misses", "_samples", "uses")

    def __init__(self) -> None:
        self.uses = 0
        self._forms: list[Form] = []
        self._samples: list[bytes] = []
        self._gaps: set[int] = set()
        self._misses = 0

    def pack(self, value: bytes) -> tuple[Form, bytes] | None:
        forms = self._forms
        for place, form in enumerate(forms):
            packed = form.pack(value)
            if packed is not None:
                if place:
                    del forms[place]
                    forms.insert(0, form)
                self.uses += 1
                self._misses = 0
                return form, packed
        self._misses += 1
        return None

    def is_worth_a_try(self) -> bool:
        """May a form be made of the value that has just fitted none?"""
        rarely = min(1 << (self._misses // _PATIENCE), _RAREST)
        return self._misses % rarely == 0

    def learn(self, value: bytes) -> None:
        """Make a form of this value and one before it that is like it: for the next one, since a form takes more than a value does."""
        tokens = value.split(_QUOTE) if self._samples else []
        for sample in self._samples:
            differ = {place for place, (one, other) in enumerate(zip(sample.split(_QUOTE), tokens, strict=True)) if one != other}
            if 0 not in differ and _is_worth(tokens, differ):
                wide = differ | self._gaps  # what differed in others will differ again
                self._gaps = wide if _is_worth(tokens, wide) else differ
                self._forms.insert(0, Form(_pieces(tokens, sorted(self._gaps))))
                del self._forms[FORMS:]
                self._samples.remove(sample)
                break
        self._samples.append(value)
        del self._samples[:-SAMPLES]


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
