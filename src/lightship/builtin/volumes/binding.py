"""Making a claim and a volume each other's, in four writes, and parting them again. Pure; called by `claims` and `volumes`.

The order matters: whoever finds a volume that names the claim, or a claim that names the volume, can go on from there.
Contract: bind and unbindVolume of pkg/controller/volume/persistentvolume.
"""

from collections.abc import Sequence

from lightship.builtin.volumes import terms
from lightship.builtin.volumes.steps import Fail, Plan, annotated
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj


def bind(plan: Plan, volume: Obj, claim: Obj) -> None:
    """The volume names the claim and says that it is bound, then the claim does."""
    volume = _volume_for(plan, volume, claim)
    volume = plan.phase(volume, "Bound")
    claim = _claim_with(plan, claim, volume)
    claim_status(plan, claim, "Bound", volume)


def _volume_for(plan: Plan, volume: Obj, claim: Obj) -> Obj:
    changed = volume
    reference = objects.spec(volume).get("claimRef") or {}
    if terms.claim_key(volume) != objects.key(claim) or reference.get("uid") != objects.uid(claim):
        changed = {**changed, "spec": {**objects.spec(changed), "claimRef": reference_to(claim)}}
    if not terms.holds(volume, claim) and terms.BOUND_BY_CONTROLLER not in objects.annotations(volume):
        changed = annotated(changed, {terms.BOUND_BY_CONTROLLER: "yes"})
    return plan.write(changed) if changed is not volume else volume


def reference_to(claim: Obj) -> Obj:
    """What a volume says of its claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": objects.namespace(claim),
        "name": objects.name(claim),
        "uid": objects.uid(claim),
        "resourceVersion": objects.meta(claim).get("resourceVersion") or "",
    }


def _claim_with(plan: Plan, claim: Obj, volume: Obj) -> Obj:
    notes: dict[str, str | None] = {}
    changed = claim
    if objects.spec(claim).get("volumeName") != objects.name(volume):
        changed = {**claim, "spec": {**objects.spec(claim), "volumeName": objects.name(volume)}}
        notes[terms.BOUND_BY_CONTROLLER] = objects.annotations(claim).get(terms.BOUND_BY_CONTROLLER) or "yes"
    if terms.BIND_COMPLETED not in objects.annotations(claim):
        notes[terms.BIND_COMPLETED] = "yes"
    return plan.write(annotated(changed, notes)) if notes else claim


def claim_status(plan: Plan, claim: Obj, phase: str, volume: Obj | None = None) -> Obj:
    """The claim with this phase and, from its volume, what it has got."""
    old = objects.status(claim)
    status = {**old, "phase": phase}
    if volume is None:
        for field in ("accessModes", "capacity", "currentVolumeAttributesClassName"):
            status.pop(field, None)
        return plan.status(claim, status)
    _put(status, "accessModes", objects.spec(volume).get("accessModes"))
    if old.get("phase") != phase:
        size = (objects.spec(volume).get("capacity") or {}).get("storage")
        if size is None:
            plan.steps.append(Fail(f'PersistentVolume "{objects.name(volume)}" is without a storage capacity'))
            return claim
        _put(status, "capacity", _capacity(volume, old.get("capacity") or {}))
        if old.get("phase") == "Pending" and phase == "Bound":
            _put(status, "currentVolumeAttributesClassName", objects.spec(volume).get("volumeAttributesClassName"))
    return plan.status(claim, status)


def _capacity(volume: Obj, had: Obj) -> Obj:
    """What the volume holds; while it is made larger, what it held before."""
    before = objects.annotations(volume).get(terms.SIZE_BEFORE)
    if before is not None:
        return {**had, "storage": before if _is_quantity(before) else objects.spec(volume)["capacity"]["storage"]}
    same = "storage" in had and quantity.parse(had["storage"]) == terms.capacity(volume)
    return had if same else dict(objects.spec(volume)["capacity"])


def _is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except ValueError:
        return False
    return True


def _put(status: Obj, field: str, value: Obj | Sequence[str] | str | None) -> None:
    if value:
        status[field] = value
    else:
        status.pop(field, None)


def unbind(plan: Plan, volume: Obj) -> None:
    """Free for others, or again for whom it was meant from the start."""
    spec = objects.spec(volume)
    if terms.BOUND_BY_CONTROLLER in objects.annotations(volume):
        bare = {**volume, "spec": {field: value for field, value in spec.items() if field != "claimRef"}}
        changed = annotated(bare, {terms.BOUND_BY_CONTROLLER: None})
    else:
        reference = {field: value for field, value in spec["claimRef"].items() if field != "uid"}
        changed = {**volume, "spec": {**spec, "claimRef": reference}}
    plan.phase(plan.write(changed), "Available")
