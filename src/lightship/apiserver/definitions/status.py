"""What the server says of a definition in its status: names, conditions, and whether its kind is served. Pure but for the time it is told.

Called by `definitions`, in the same write as the change that it speaks of where that can be. Refuses to know other definitions: what names
they use comes as an argument. Contract: apiextensions-apiserver's naming, establishing, API approval and finalizer controllers.
"""

from lightship.kinds.extensions import rules as crd_rules
from lightship.kinds.extensions import webhooks as crd_webhooks
from lightship.meta import conditions
from lightship.meta.objects import Obj

from . import names as crd_names
from .names import Taken

_APPROVALS = {
    "Missing": ("False", "MissingAnnotation"),
    "Invalid": ("False", "InvalidAnnotation"),
    "Bypassed": ("False", "UnapprovedAnnotation"),
    "Approved": ("True", "ApprovedAnnotation"),
}


def status(crd: Obj, used: Taken, now: float) -> Obj:
    """The status of a definition as it should be; equal to the one it has when nothing is to be said. `now` is seconds since the epoch."""
    found: Obj = {**(crd.get("status") or {})}
    spec_names = crd["spec"].get("names") or {}
    listed: list[Obj] = list(found.get("conditions") or [])
    if spec_names != found.get("acceptedNames") or not listed:
        verdict = crd_names.judge(spec_names, found.get("acceptedNames") or {}, used)
        found["acceptedNames"] = verdict.accepted
        if verdict.reason:
            listed = conditions.set_condition(listed, "NamesAccepted", "False", verdict.reason, verdict.message, now)
        else:
            listed = conditions.set_condition(listed, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
    listed = _established(crd, listed, now)
    if crd_rules.is_protected(crd["spec"].get("group") or ""):
        state, why = crd_rules.approval(crd)
        listed = conditions.set_condition(listed, "KubernetesAPIApprovalPolicyConformant", *_APPROVALS[state], why, now)
    found["conditions"] = listed
    return found


def _established(crd: Obj, listed: list[Obj], now: float) -> list[Obj]:
    """Once established, a definition stays so."""
    if _is_true(listed, "Established"):
        return listed
    if conditions.find(listed, "NamesAccepted") is None:
        return listed
    if not _is_true(listed, "NamesAccepted"):
        return conditions.set_condition(listed, "Established", "False", "NotAccepted", "not all names are accepted", now)
    config = ((crd["spec"].get("conversion") or {}).get("webhook") or {}).get("clientConfig") or {}
    if crd_webhooks.bundle_problem(config.get("caBundle") or ""):
        why = "The conversion webhook CABundle is invalid"
        return conditions.set_condition(listed, "Established", "False", "InvalidCABundle", why, now)
    return conditions.set_condition(listed, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now)


def terminating(crd: Obj, now: float) -> Obj:
    """The status of a definition whose objects are being deleted."""
    return _with(crd, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress", now)


def emptied(crd: Obj, now: float, *, served: bool) -> Obj:
    """The status of a definition that waits for the finalizers of others only."""
    if served:
        return _with(crd, "False", "InstanceDeletionCompleted", "removed all instances", now)
    return _with(crd, "False", "NeverEstablished", "resource was never established", now)


def is_served(crd: Obj) -> bool:
    listed = (crd.get("status") or {}).get("conditions") or []
    return _is_true(listed, "NamesAccepted") or _is_true(listed, "Established")


def _with(crd: Obj, status: str, reason: str, message: str, now: float) -> Obj:
    found: Obj = {**(crd.get("status") or {})}
    found["conditions"] = conditions.set_condition(found.get("conditions") or [], "Terminating", status, reason, message, now)
    return found


def _is_true(listed: list[Obj], type: str) -> bool:
    found = conditions.find(listed, type)
    return found is not None and found.get("status") == "True"
