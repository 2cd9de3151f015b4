"""Which rules hold for which kind now: Stages on the cluster before those of a file, and both before ours.

`controller` asks it for rules and hears when they have changed. Stages that cannot be used are told about, once each time they change.
Contract: kwok 0.8.0, where Stages of a kind are its whole life: one of the cluster for pods, and no other for pods holds.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeAlias

from lightship.control import Recorder
from lightship.emulation import api
from lightship.emulation.play import Rules
from lightship.emulation.stages.lifecycle import Lifecycle, compiled
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

log = logging.getLogger(__name__)

Kind: TypeAlias = tuple[str, str]
"""apiVersion and kind."""
POD: Kind = ("v1", "Pod")
NODE: Kind = ("v1", "Node")


class Rulebook:
    """Rules by kind. `changed` is told which kinds live by other rules now."""

    def __init__(self, defaults: Mapping[Kind, Rules], random: Random, recorder: Recorder, changed: Callable[[set[Kind]], None]) -> None:
        """`defaults` hold for kinds that nobody wrote Stages for."""
        self._defaults = dict(defaults)
        self._random = random
        self._recorder = recorder
        self._changed = changed
        self._given: dict[Kind, Lifecycle] = {}
        self._live: dict[str, Obj] = {}
        self._compiled: dict[Kind, Lifecycle] = {}

    @property
    def kinds(self) -> set[Kind]:
        """All that somebody wrote Stages for."""
        return {*self._given, *self._compiled}

    def give(self, stages: Sequence[Obj]) -> None:
        """The Stages of a file, which hold for kinds that the cluster has none of."""
        self._given = compiled(stages, self._random).of_kind

    def rules(self, kind: Kind) -> Rules | None:
        return self._compiled.get(kind) or self._given.get(kind) or self._defaults.get(kind)

    def note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """A Stage on the cluster has changed."""
        if new is None:
            self._live.pop(key.name, None)
        else:
            self._live[key.name] = new
        kinds = {kind_of(stage) for stage in (old, new) if stage is not None}
        found = compiled((stage for _, stage in sorted(self._live.items()) if kind_of(stage) in kinds), self._random)
        for kind in kinds:
            if kind in found.of_kind:
                self._compiled[kind] = found.of_kind[kind]
            else:
                self._compiled.pop(kind, None)
        if new is not None and key.name in found.problems:
            log.warning("stage cannot be used stage=%s: %s", key.name, found.problems[key.name])
            told = {**new, "apiVersion": api.STAGES.api_version, "kind": api.STAGES.kind}
            self._recorder.event(told, "Warning", "InvalidStage", found.problems[key.name])
        self._changed(kinds)


def kind_of(stage: Obj) -> Kind:
    ref = objects.spec(stage).get("resourceRef") or {}
    return ref.get("apiGroup") or "v1", ref.get("kind") or ""
