"""Which volume a claim gets: the one that is meant for it, else the smallest that fits. Pure; called by `claims`.

Contract: pkg/controller/volume/persistentvolume index.go and FindMatchingVolume of component-helpers. Among volumes that are equally good
the first by name is taken, so that the same objects always give the same answer.
"""

from collections.abc import Iterable

from lightship.builtin.volumes import terms
from lightship.meta import objects, selectors
from lightship.meta.objects import Obj
from lightship.meta.selectors import LabelSelector

_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")


def best(claim: Obj, volumes: Iterable[Obj], *, delayed: bool) -> Obj | None:
    """The volume to bind; `delayed` leaves the choice among those that are free to the scheduler. Volumes with no more access modes than
    needed come first. Raises `ValueError` for a selector that is none."""
    wanted = objects.spec(claim).get("selector")
    selector = selectors.from_label_selector(wanted) if wanted is not None else None
    groups: dict[frozenset[str], list[Obj]] = {}
    wanted_modes = terms.access_modes(claim)
    for volume in sorted(volumes, key=objects.name):
        modes = terms.access_modes(volume)
        if wanted_modes <= modes:
            groups.setdefault(modes, []).append(volume)
    for modes in sorted(groups, key=lambda modes: (len(modes), [mode not in modes for mode in _MODES])):
        found = _best(claim, groups[modes], selector, delayed=delayed)
        if found is not None:
            return found
    return None


def _best(claim: Obj, volumes: list[Obj], selector: LabelSelector | None, *, delayed: bool) -> Obj | None:
    free = []
    size, mode, attributes, storage_class = terms.requested(claim), terms.mode(claim), terms.attributes_class(claim), terms.class_of(claim)
    for volume in volumes:
        taken = terms.is_taken(volume)
        if taken and not terms.holds(volume, claim):
            continue
        if terms.capacity(volume) < size or terms.mode(volume) != mode:
            continue
        if terms.attributes_class(volume) != attributes or objects.is_deleting(volume):
            continue
        if taken:
            return volume
        if delayed or objects.status(volume).get("phase") != "Available":
            continue
        if selector is not None and not selector.matches(objects.labels(volume)):
            continue
        if terms.class_of(volume) == storage_class:
            free.append(volume)
    return min(free, key=terms.capacity, default=None)


def against(volume: Obj, claim: Obj) -> str:
    """Why a claim that names a volume cannot have it; empty when it can."""
    if objects.is_deleting(volume):
        return f'the volume is marked for deletion "{objects.name(volume)}"'
    if int(-(-terms.capacity(volume) // 1)) < int(-(-terms.requested(claim) // 1)):
        return "requested PV is too small"
    if terms.class_of(volume) != terms.class_of(claim):
        return "storageClassName does not match"
    if terms.attributes_class(volume) != terms.attributes_class(claim):
        return "volumeAttributesClassName does not match"
    if terms.mode(volume) != terms.mode(claim):
        return "incompatible volumeMode"
    if not terms.access_modes(claim) <= terms.access_modes(volume):
        return "incompatible accessMode"
    return ""
