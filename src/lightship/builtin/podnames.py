"""Names for pods that are told apart by nothing else: drawn, and kept until the pod has shown itself.

A create may have taken effect although it failed, was never answered, or is not seen for a long time. Whoever asks for as many pods again
gets the same names again, so that those pods are met and none is doubled, however late the cache is. Called by the controllers of
ReplicaSets and DaemonSets. Kept in memory: who starts anew reads what there is.
"""

from random import Random

from lightship.builtin.podtemplate import ALPHABET, SUFFIX, prefix_of
from lightship.client.informer import Informer
from lightship.meta import objects
from lightship.meta.objects import Key, Obj


class Names:
    """`slot` is what pods of one owner stand for, such as a node; all that are alike share one."""

    def __init__(self, pods: Informer, random: Random) -> None:
        self._random = random
        self._owners: dict[Key, tuple[str, dict[str, dict[str, None]]]] = {}
        """By owner: its uid, and the names of each slot whose pods have not been seen yet."""
        self._slots: dict[Key, tuple[Key, str]] = {}
        """Where such a name is kept, by the pod's key."""
        pods.on_change(self._note)

    def draw(self, owner: Obj, slot: str = "", count: int = 1) -> list[str]:
        """So many names, those first that were drawn before and whose pods have not been seen."""
        key = objects.key(owner)
        uid, slots = self._owners.get(key, ("", {}))
        if uid != objects.uid(owner):
            self.forget(key)
            slots = {}
            self._owners[key] = objects.uid(owner), slots
        kept = slots.setdefault(slot, {})
        while len(kept) < count:
            name = prefix_of(owner) + "".join(self._random.choices(ALPHABET, k=SUFFIX))
            kept[name] = None
            self._slots[Key(key.namespace, name)] = key, slot
        return list(kept)[:count]

    def taken(self, owner: Obj, name: str) -> None:
        """Somebody else has it."""
        self._close(Key(objects.namespace(owner), name))

    def forget(self, key: Key) -> None:
        """An owner is gone."""
        _, slots = self._owners.pop(key, ("", {}))
        for names in slots.values():
            for name in names:
                self._slots.pop(Key(key.namespace, name), None)

    def _note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if new is not None:
            self._close(key)

    def _close(self, pod: Key) -> None:
        found = self._slots.pop(pod, None)
        if found is None:
            return
        key, slot = found
        _, slots = self._owners[key]
        names = slots[slot]
        names.pop(pod.name, None)
        if not names:
            del slots[slot]
        if not slots:
            del self._owners[key]
