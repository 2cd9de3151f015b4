"""Specs of new pods that nothing was found to say about, remembered by what is in them: pods of one template are judged once.

Controllers make pods by the thousand that differ in name only, and judging is a third of what a pod's creation costs. `rules` asks
before it judges or warns, and tells what passed both. A verdict depends on the spec, the annotations and nothing else: the random name of
the token's volume, in the same letters for all pods, is left out; specs that are judged by the pod's name as well are not remembered.
"""

import re

from lightship.meta import codec
from lightship.meta.objects import Obj

LONGEST = 4096
"""Bytes of a spec that is worth remembering."""
MOST = 256
"""Specs that are remembered; then it begins anew."""
_is_token_volume = re.compile("kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}").fullmatch
_BY_NAME = b'"ephemeral"'
_ANY_TOKEN_VOLUME = b"\x00"
"""Stands for the name; no JSON text has this byte."""


class Judged:
    def __init__(self) -> None:
        self._passed: set[bytes] = set()
        self._last: tuple[Obj, bytes] | None = None

    def knows(self, pod: Obj) -> bool:
        """Has a pod with this spec and these annotations passed before?"""
        key = _key(pod)
        self._last = (pod, key)
        return key in self._passed

    def knew(self, pod: Obj) -> bool:
        """The same of a pod that has not changed since it was asked."""
        if self._last is None or self._last[0] is not pod:
            return self.knows(pod)
        return self._last[1] in self._passed

    def passed(self, pod: Obj) -> None:
        """Nothing was found to say about this pod."""
        key, self._last = _key(pod), None
        if len(key) > LONGEST or _BY_NAME in key:
            return
        if len(self._passed) >= MOST:
            self._passed.clear()
        self._passed.add(key)


def _key(pod: Obj) -> bytes:
    spec = pod.get("spec") or {}
    key = codec.encode((spec, pod["metadata"].get("annotations")))
    volumes = spec.get("volumes")
    name = volumes[-1].get("name") if volumes else None
    if name and _is_token_volume(name):
        key = key.replace(name.encode(), _ANY_TOKEN_VOLUME)
    return key
