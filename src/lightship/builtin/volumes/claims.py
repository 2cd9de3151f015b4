"""What follows from a claim: which volume it gets, who is to make one, or what it waits for. Pure; called by `controller`.

Contract: syncClaim of pkg/controller/volume/persistentvolume: order of writes, reasons and messages.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lightship.builtin.volumes import binding, matching, migration, terms
from lightship.builtin.volumes.steps import Fail, Plan, Step, annotated
from lightship.meta import objects
from lightship.meta.objects import Obj

LOST = "Bound claim has lost {what}. Data on the volume is lost!"


class Surroundings(NamedTuple):
    """What there is besides the claim."""

    volume: Obj | None = None
    """The one that the claim names."""
    candidates: Iterable[Obj] = ()
    """Volumes that may do: at least all that are meant for the claim, and all free ones of its class."""
    classes: Mapping[str, Obj] = {}
    waiting: Iterable[str] = ()
    """The names of pods that want the claim and have no node yet."""
    migrated: Mapping[str, str] = migration.MIGRATED


def sync(claim: Obj, around: Surroundings) -> list[Step]:
    """What is to be done for the claim, in order."""
    plan = Plan()
    changed = migration.claim_migrated(claim, around.migrated)
    claim = plan.write(changed) if changed is not claim else claim
    if terms.BIND_COMPLETED in objects.annotations(claim):
        _bound(plan, claim, around.volume)
    elif objects.spec(claim).get("volumeName"):
        _asked(plan, claim, around.volume)
    else:
        _unbound(plan, claim, around)
    return plan.steps


def _bound(plan: Plan, claim: Obj, volume: Obj | None) -> None:
    """It had a volume: is that still there and its own?"""
    if not objects.spec(claim).get("volumeName"):
        _lose(plan, claim, "ClaimLost", LOST.format(what="reference to PersistentVolume"))
    elif volume is None:
        _lose(plan, claim, "ClaimLost", LOST.format(what="its PersistentVolume"))
    elif not terms.is_taken(volume) or objects.spec(volume)["claimRef"].get("uid") == objects.uid(claim):
        binding.bind(plan, volume, claim)
    else:
        _lose(plan, claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")


def _lose(plan: Plan, claim: Obj, reason: str, message: str) -> None:
    if objects.status(claim).get("phase") != "Lost":
        plan.say(binding.claim_status(plan, claim, "Lost"), "Warning", reason, message)


def _asked(plan: Plan, claim: Obj, volume: Obj | None) -> None:
    """It names the volume that it wants."""
    if volume is None:
        binding.claim_status(plan, claim, "Pending")
    elif not terms.is_taken(volume):
        if why := matching.against(volume, claim):
            plan.say(claim, "Warning", "VolumeMismatch", f'Cannot bind to requested volume "{objects.name(volume)}": {why}')
            binding.claim_status(plan, claim, "Pending")
        else:
            binding.bind(plan, volume, claim)
    elif terms.holds(volume, claim):
        binding.bind(plan, volume, claim)
    else:
        name = objects.name(volume)
        plan.say(claim, "Warning", "FailedBinding", f'volume "{name}" already bound to a different claim.')
        if terms.BOUND_BY_CONTROLLER not in objects.annotations(claim):
            binding.claim_status(plan, claim, "Pending")
            return
        other = terms.claim_key(volume)
        plan.steps.append(
            Fail(
                f'invalid binding of claim "{objects.key(claim)}" to volume "{name}": '
                f'volume already claimed by "{other.namespace}/{other.name}"'
            )
        )


def _unbound(plan: Plan, claim: Obj, around: Surroundings) -> None:
    storage_class = around.classes.get(terms.class_of(claim))
    delayed = terms.waits(storage_class)
    try:
        volume = matching.best(claim, around.candidates, delayed=delayed)
    except ValueError as error:
        plan.steps.append(Fail(f'error finding PV for claim "{objects.key(claim)}": {error}'))
        return
    if volume is not None:
        binding.bind(plan, volume, claim)
        return
    default = None if terms.has_class(claim) else terms.default_class(around.classes.values())
    if default is not None:
        plan.write({**claim, "spec": {**objects.spec(claim), "storageClassName": objects.name(default)}})
        return
    if delayed and terms.SELECTED_NODE not in objects.annotations(claim):
        plan.say(claim, "Normal", *_delay(sorted(around.waiting)))
    elif terms.class_of(claim):
        _provision(plan, claim, storage_class, around.migrated)
        return
    else:
        plan.say(claim, "Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set")
    binding.claim_status(plan, claim, "Pending")


def _delay(pods: list[str]) -> tuple[str, str]:
    if not pods:
        return "WaitForFirstConsumer", "waiting for first consumer to be created before binding"
    return "WaitForPodScheduled", f"waiting for {'pods' if len(pods) > 1 else 'pod'} {','.join(pods)} to be scheduled"


def _provision(plan: Plan, claim: Obj, storage_class: Obj | None, migrated: Mapping[str, str]) -> None:
    """Leave it to whoever makes volumes of the class: there are no provisioners in here."""
    if storage_class is None:
        why = f'storageclass.storage.k8s.io "{terms.class_of(claim)}" not found'
        plan.say(claim, "Warning", "ProvisioningFailed", why)
        return
    named = str(storage_class.get("provisioner") or "")
    if named.startswith(terms.IN_TREE) and named not in migrated:
        plan.say(claim, "Warning", "ProvisioningFailed", f"no volume plugin matched name: {named}")
        return
    provisioner = migrated.get(named, named)
    if objects.annotations(claim).get(terms.PROVISIONER) != provisioner:
        marked = annotated(claim, {terms.PROVISIONER: provisioner, terms.OLD_PROVISIONER: provisioner})
        claim = plan.write(migration.claim_migrated(marked, migrated))
    message = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. "
        "If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    )
    plan.say(claim, "Normal", "ExternalProvisioning", message)
