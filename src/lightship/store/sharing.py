"""Decoded objects that are kept, in less memory: parts that are equal become one.

Objects of one template, which are most of what a big cluster has, differ in a few strings; decoded, each is five to ten times as big as its
JSON. `records` hands over what somebody reads and so keeps. Knows no kinds: it looks at what is inside of an object, part by part from the
outside in, until it finds one that it has seen. Called for objects that nobody may change, in which it changes what nobody can see.
"""

from typing import Any

from lightship.meta import codec

LONGEST = 4096
"""Bytes of a part that is worth remembering."""
MOST = 8192
"""Parts that are remembered; then it begins anew."""
_DEEPEST = 6


class Sharer:
    def __init__(self) -> None:
        self._known: dict[bytes, Any] = {}

    def share(self, obj: dict[str, Any]) -> None:
        """Put parts that are known in the place of equal ones, in place."""
        for key, part in obj.items():
            if part.__class__ is dict and part:
                self._share_below(part, 1)
            elif part.__class__ is list and part:
                obj[key] = self._shared(part, 1)

    def _share_below(self, holder: Any, depth: int) -> None:
        places = holder.items() if holder.__class__ is dict else enumerate(holder)
        for place, part in places:
            if part and (part.__class__ is dict or part.__class__ is list):
                holder[place] = self._shared(part, depth + 1)

    def _shared(self, part: Any, depth: int) -> Any:
        content = codec.encode(part)
        found = self._known.get(content)
        if found is not None:
            return found
        if depth < _DEEPEST:
            self._share_below(part, depth)
        if len(content) <= LONGEST:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[content] = part
        return part
