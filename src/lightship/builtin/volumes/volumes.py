"""What follows from a volume: is it free, bound, or given back by its claim. Pure; called by `controller`.

Contract: syncVolume and reclaimVolume of pkg/controller/volume/persistentvolume: phases, reasons and messages.
"""

from collections.abc import Mapping

from lightship.builtin.volumes import binding, migration, terms
from lightship.builtin.volumes.steps import Look, Plan, Reclaim, Step
from lightship.meta import objects
from lightship.meta.objects import Obj


def sync(volume: Obj, claim: Obj | None, migrated: Mapping[str, str] = migration.MIGRATED) -> list[Step]:
    """What is to be done for the volume, in order. `claim` is the one of the name that the volume says, with whatever uid."""
    plan = Plan()
    changed = migration.volume_migrated(volume, migrated)
    volume = plan.write(changed) if changed is not volume else volume
    reference = objects.spec(volume).get("claimRef")
    if not reference or not reference.get("uid"):
        plan.phase(volume, "Available")
    elif claim is None or objects.uid(claim) != reference["uid"]:
        _released(plan, volume)
    elif not objects.spec(claim).get("volumeName"):
        _promised(plan, volume, claim)
    elif objects.spec(claim)["volumeName"] == objects.name(volume):
        plan.phase(volume, "Bound")
    elif _was_made(volume) and objects.spec(volume).get("persistentVolumeReclaimPolicy") == "Delete":
        _released(plan, volume)
    else:
        binding.unbind(plan, volume)
    return plan.steps


def _was_made(volume: Obj) -> bool:
    return terms.PROVISIONED_BY in objects.annotations(volume)


def _released(plan: Plan, volume: Obj) -> None:
    """Its claim is gone, or has another."""
    if objects.status(volume).get("phase") not in ("Released", "Failed"):
        volume = plan.phase(volume, "Released")
    if objects.annotations(volume).get(terms.MIGRATED_TO):
        return
    policy = objects.spec(volume).get("persistentVolumeReclaimPolicy")
    if policy in ("Recycle", "Delete"):
        plan.steps.append(Reclaim(volume))
    elif policy != "Retain":
        what = "Volume has unrecognized PersistentVolumeReclaimPolicy"
        plan.tell_phase(volume, "Failed", "VolumeUnknownReclaimPolicy", what)


def _promised(plan: Plan, volume: Obj, claim: Obj) -> None:
    """Its claim does not know yet."""
    if terms.mode(claim) == terms.mode(volume):
        plan.steps.append(Look(objects.key(claim)))
        return
    said = "due to incompatible volumeMode."
    to_claim = f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{objects.name(claim)}" {said}'
    to_volume = f'Cannot bind PersistentVolume "{objects.name(volume)}" to requested PersistentVolumeClaim {said}'
    plan.say(volume, "Warning", "VolumeMismatch", to_claim)
    plan.say(claim, "Warning", "VolumeMismatch", to_volume)


def is_released(volume: Obj, claim: Obj | None) -> bool:
    """Does nobody need the volume any more, by what is known at the moment of reclaiming it?"""
    reference = objects.spec(volume).get("claimRef") or {}
    if not reference.get("uid"):
        return False
    if claim is None or objects.uid(claim) != reference["uid"]:
        return True
    return objects.spec(claim).get("volumeName") not in (None, "", objects.name(volume))
