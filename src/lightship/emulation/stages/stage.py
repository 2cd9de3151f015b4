"""A Stage compiled: `of(obj)` refuses what cannot be used, `Compiled.deeds` says what is to be done to an object that enters it. Pure.

Contract: kwok.x-k8s.io/v1alpha1 Stage of kwok 0.8.0: `next` is the older spelling of `steps`, and is read where there are none.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from lightship.emulation.play import Apply, Deed, Delete, Patch, StageError, Surroundings, Tell
from lightship.emulation.stages import rendering, selecting
from lightship.emulation.templates import Template
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.rest import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, PatchType

_PATCHES: dict[str, PatchType] = {"json": JSON_PATCH, "merge": MERGE_PATCH, "strategic": STRATEGIC_MERGE_PATCH}
_APPLIES: dict[str, PatchType] = {"": APPLY_PATCH, "apply": APPLY_PATCH, "merge": MERGE_PATCH, "strategic": STRATEGIC_MERGE_PATCH}
Functions = Mapping[str, Callable[..., Any]]
Step = Callable[[Obj, Functions], Sequence[Deed]]


class Compiled:
    """A Stage for objects of one kind."""

    def __init__(self, stage: Obj, random: Random) -> None:
        """Raises `StageError`."""
        spec = stage.get("spec") or {}
        ref = spec.get("resourceRef") or {}
        self.name = objects.name(stage)
        self.api_version: str = ref.get("apiGroup") or "v1"
        self.kind: str = ref.get("kind") or ""
        if not self.kind:
            raise StageError("spec.resourceRef.kind says of which kind the objects are: it is missing")
        self.immediate = bool(spec.get("immediateNextStage"))
        self._random = random
        selector = spec.get("selector")
        self.for_nobody = selector is None
        """A Stage without a selector is for no object at all."""
        self._tests = selecting.tests(selector or {})
        delay = spec.get("delay") or {}
        self._delay = selecting.seconds(delay.get("durationMilliseconds") or 0, delay.get("durationFrom"))
        self._jitter = selecting.seconds(delay.get("jitterDurationMilliseconds"), delay.get("jitterDurationFrom"))
        self._weight = selecting.number(spec.get("weight"), spec.get("weightFrom"))
        self._steps = [self._step(step) for step in spec.get("steps") or _steps_of(spec.get("next") or {})]

    def matches(self, obj: Obj, now: float) -> bool:
        """Is it for this object as it is? Raises `StageError`."""
        return not self.for_nobody and all(test(obj, now) for test in self._tests)

    def weight(self, obj: Obj, now: float) -> float | None:
        """Its chance among others, or None where it has none to speak of."""
        return self._weight(obj, now)

    def delay(self, obj: Obj, now: float, random: Random) -> float:
        """Seconds before it is entered."""
        shortest, longest = self.delays(obj, now)
        return shortest if longest == shortest else shortest + random.random() * (longest - shortest)

    def delays(self, obj: Obj, now: float) -> tuple[float, float]:
        """The shortest and the longest time before it is entered."""
        shortest = self._delay(obj, now)
        if shortest is None:
            return 0.0, 0.0
        longest = self._jitter(obj, now)
        return (shortest, shortest) if longest is None else (min(shortest, longest), longest)

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        """What to do, in order. Raises `StageError`."""
        functions = rendering.functions(around, self._random)
        return self.deeds_with(obj, functions)

    def deeds_with(self, obj: Obj, functions: Functions) -> Sequence[Deed]:
        whole = {"apiVersion": self.api_version, "kind": self.kind, **obj}
        found: list[Deed] = []
        deleted = False
        for step in self._steps:
            for deed in step(whole, functions):
                if not deleted or isinstance(deed, Tell):
                    found.append(deed)
                deleted = deleted or isinstance(deed, Delete)
        return found

    def _step(self, step: Obj) -> Step:
        """In the order in which kwok looks at the parts of one step."""
        parts: list[Step] = []
        event, finalizers = step.get("event"), step.get("finalizers")
        if event:
            told = Tell(event.get("type") or "Normal", event.get("reason") or "", event.get("message") or "")
            parts.append(lambda obj, functions: (told,))
        if finalizers:
            parts.append(lambda obj, functions: _finalized(obj, finalizers))
        if step.get("delete"):
            parts.append(lambda obj, functions: (Delete(),))
        else:
            parts.extend(self._changes(step))
        return lambda obj, functions: [deed for part in parts for deed in part(obj, functions)]

    def _changes(self, step: Obj) -> list[Step]:
        found: list[Step] = []
        if step.get("patch"):
            found.append(self._patch(step["patch"]))
        if step.get("apply"):
            found.append(_apply(step["apply"]))
        return found

    def _patch(self, patch: Obj) -> Step:
        strategic = (self.api_version, self.kind) in (("v1", "Pod"), ("v1", "Node"))
        asked = patch.get("type") or ("strategic" if strategic else "merge")
        if asked not in _PATCHES:
            raise StageError(f'type "{asked}" of a patch must be one of {", ".join(_PATCHES)}')
        type, root, parsed = _PATCHES[asked], patch.get("root") or "", rendering.template(patch.get("template") or "")
        subresource, user = patch.get("subresource") or "", _user(patch)

        def deeds(obj: Obj, functions: Functions) -> Sequence[Deed]:
            body = rendering.render(parsed, obj, functions)
            if root and type == JSON_PATCH:
                body = [{**change, "path": f"/{root}{change.get('path', '')}"} for change in body]
            elif root:
                body = {root: body}
            return (Patch(body, type, subresource, user),)

        return deeds


def _apply(apply: Obj) -> Step:
    asked = apply.get("type") or ""
    if asked not in _APPLIES:
        raise StageError(f'type "{asked}" of an apply must be one of {", ".join(filter(None, _APPLIES))}')
    parsed: Template = rendering.template(apply.get("template") or "")
    type, subresource, user = _APPLIES[asked], apply.get("subresource") or "", _user(apply)

    def deeds(obj: Obj, functions: Functions) -> Sequence[Deed]:
        made = rendering.render(parsed, obj, functions)
        if not isinstance(made, dict) or not made.get("apiVersion") or not made.get("kind"):
            raise StageError("template must include apiVersion and kind")
        return (Apply(made, type, subresource, user),)

    return deeds


def _user(patch: Obj) -> str:
    return str((patch.get("impersonation") or {}).get("username") or "")


def _steps_of(next: Obj) -> list[Obj]:
    """The steps that `next` stands for."""
    steps: list[Obj] = [{field: next[field]} for field in ("event", "finalizers") if next.get(field)]
    if next.get("patches"):
        steps.extend({"patch": patch} for patch in next["patches"])
    elif next.get("statusTemplate"):
        patch = {"subresource": next.get("statusSubresource", "status"), "root": "status", "template": next["statusTemplate"]}
        steps.append({"patch": patch | ({"impersonation": next["statusPatchAs"]} if next.get("statusPatchAs") else {})})
    return [*steps, {"delete": True}] if next.get("delete") else steps


def _finalized(obj: Obj, wanted: Obj) -> Sequence[Deed]:
    """What adds and takes away finalizers; nothing where there is nothing to change."""
    changes = finalizers(obj["metadata"].get("finalizers") or [], wanted)
    return (Patch(changes, JSON_PATCH),) if changes else ()


def finalizers(have: Sequence[str], wanted: Obj) -> list[Obj]:
    """A JSON patch, as kwok makes it."""
    add = [item.get("value", "") for item in wanted.get("add") or ()]
    gone = {item.get("value", "") for item in wanted.get("remove") or ()}
    path = "/metadata/finalizers"
    changes: list[Obj] = []
    emptied = bool(wanted.get("empty"))
    if not emptied and gone:
        removed = [{"op": "remove", "path": f"{path}/{at}"} for at in reversed(range(len(have))) if have[at] in gone]
        emptied = len(removed) == len(have)
        changes = [] if emptied else removed
    if emptied:
        changes = [{"op": "remove", "path": path}] if have else []
        have = ()
    if add and have:
        changes += [{"op": "add", "path": f"{path}/-", "value": value} for value in add if value not in have]
    elif add:
        changes.append({"op": "add", "path": path, "value": add})
    return changes
