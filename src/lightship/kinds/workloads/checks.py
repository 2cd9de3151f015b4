"""What can be wrong with a kind that keeps a number of pods: Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers.

Called by the server through the resources in `kinds.apps` and `kinds.core`, after defaults. Selector, template and counts; what a pod may
look like is told in `pods.checks`, how one version of it replaces another in `rollout_checks`.
Contract: kube 1.36 pkg/apis/apps/validation, core ValidateReplicationController; texts as kube-apiserver's.
"""

from typing import Any

from lightship.kinds import checking
from lightship.kinds.pods import annotations as pod_annotations
from lightship.kinds.pods.checks import check_pod_spec
from lightship.kinds.storage.claim_checks import check_claim_spec
from lightship.meta import errors, names, objects, selectors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import rollout_checks

_TEMPLATE = "spec.template"
_SET_MAY_CHANGE = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    }
)
_SET_KEEPS_REST = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_MANAGEMENT = ("OrderedReady", "Parallel")


def validate_deployment(deployment: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(deployment)
    causes = checking.not_negative("spec.replicas", spec.get("replicas"))
    causes += _check_selector(spec, "deployment")
    causes += _check_template(spec, "ReplicaSet")
    causes += rollout_checks.check_deployment("spec.strategy", spec.get("strategy") or {})
    ready, deadline = spec.get("minReadySeconds") or 0, spec.get("progressDeadlineSeconds")
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        causes += checking.not_negative(f"spec.{field}", spec.get(field))
    if deadline is not None and deadline <= ready:
        causes.append(errors.invalid_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return causes + _check_selector_kept(spec, old)


def validate_replica_set(replicas: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(replicas)
    causes = [c for field in ("replicas", "minReadySeconds") for c in checking.not_negative(f"spec.{field}", spec.get(field))]
    causes += _check_selector(spec, "deployment")
    causes += _check_template(spec, "ReplicaSet")
    return causes + _check_selector_kept(spec, old)


def validate_daemon_set(daemons: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(daemons)
    selector, template = spec.get("selector"), spec.get("template") or {}
    causes = checking.label_selector("spec.selector", selector)
    if not _is_wrong(selector):
        causes += _check_matches(selector, template)
    if selector is not None and _is_empty(selector):
        causes.append(errors.invalid_value("spec.selector", selector, "empty selector is invalid for daemonset"))
    causes += check_template_spec(_TEMPLATE, template) + _check_always(template, "DaemonSet")
    causes += checking.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    causes += rollout_checks.check_daemon_set("spec.updateStrategy", spec.get("updateStrategy") or {})
    causes += checking.not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    return _check_selector_kept(spec, old) + causes


def validate_stateful_set(stateful: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(stateful)
    causes = _check_set_policies(spec)
    if old is None:
        for i, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            causes += check_claim_spec(f"spec.volumeClaimTemplates[{i}].spec", claim.get("spec") or {})
        if spec.get("serviceName"):
            causes += checking.check_name("spec.serviceName", spec["serviceName"], "label")
    for field in ("replicas", "minReadySeconds"):
        causes += checking.not_negative(f"spec.{field}", spec.get(field))
    causes += checking.not_negative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
    causes += _check_selector(spec, "statefulset")
    causes += _check_set_template(spec)
    if old is not None:
        before = objects.spec(old)
        kept = (spec.keys() | before.keys()) - _SET_MAY_CHANGE
        if any(not same(spec.get(field), before.get(field)) for field in kept):
            causes.append(errors.forbidden_field("spec", _SET_KEEPS_REST))
    return causes


def _check_set_policies(spec: Obj) -> list[Cause]:
    policy = spec.get("podManagementPolicy") or ""
    causes: list[Cause] = []
    if policy not in _MANAGEMENT:
        causes.append(errors.invalid_value("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    causes += rollout_checks.check_stateful_set("spec.updateStrategy", spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        causes += checking.one_of(f"spec.persistentVolumeClaimRetentionPolicy.{field}", retention.get(field), ("Retain", "Delete"))
    return causes


def _check_set_template(spec: Obj) -> list[Cause]:
    """The template as the pods will have it: with a volume for each claim, and with the hostname and subdomain that the set gives."""
    selector, template = spec.get("selector"), spec.get("template") or {}
    if _is_wrong(selector):
        shown = errors.invalid_value("spec.selector", shown_selector(selector), "")
        return [shown._replace(message=shown.message.removesuffix(": ")), *_check_always(template, "StatefulSet")]
    causes = _check_matches(selector, template) if selector is None or not _is_empty(selector) else []
    pod = {k: v for k, v in (template.get("spec") or {}).items() if k not in ("hostname", "subdomain")}
    claimed = [c["metadata"]["name"] for c in spec.get("volumeClaimTemplates") or () if (c.get("metadata") or {}).get("name")]
    if claimed:
        own = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claimed]
        pod["volumes"] = own + [v for v in pod.get("volumes") or () if v.get("name") not in claimed]
    # Labels and annotations are judged twice, and so complained of twice.
    causes += check_template_spec(_TEMPLATE, {**template, "spec": pod}) + check_template_metadata(_TEMPLATE, template)
    return causes + _check_always(template, "StatefulSet")


def validate_replication_controller(controller: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(controller)
    causes = [c for field in ("minReadySeconds", "replicas") for c in checking.not_negative(f"spec.{field}", spec.get(field))]
    selector, template = spec.get("selector") or {}, spec.get("template")
    if not selector:
        causes.append(errors.required("spec.selector"))
    if template is None:
        causes.append(errors.required(_TEMPLATE))
        return causes
    found = (template.get("metadata") or {}).get("labels")
    if any((found or {}).get(key) != value for key, value in selector.items()):
        causes.append(errors.invalid_value(f"{_TEMPLATE}.metadata.labels", found, "`selector` does not match template `labels`"))
    return causes + check_template_spec(_TEMPLATE, template) + _check_always(template, "ReplicationController")


def validate_pod_template(template: Obj, old: Obj | None) -> list[Cause]:
    return check_template_spec("template", template.get("template") or {})


def validate_revision(revision: Obj, old: Obj | None) -> list[Cause]:
    """A ControllerRevision: data is an object, and never changes."""
    causes = checking.not_negative("revision", revision.get("revision"))
    data = revision.get("data")
    if old is not None:
        return causes + checking.immutable("data", data, old.get("data"))
    if data is None:
        causes.append(errors.required("data", "data is mandatory"))
    elif not isinstance(data, dict):
        causes.append(errors.required("data", "data must be a valid JSON object"))
    return causes


def check_template_spec(path: str, template: Obj) -> list[Cause]:
    """Metadata and spec of a PodTemplateSpec at `path`."""
    return (
        check_template_metadata(path, template)
        + check_pod_spec(template.get("spec") or {}, f"{path}.spec")
        + pod_annotations.check_profiles(f"{path}.spec", (template.get("metadata") or {}).get("annotations"), template.get("spec") or {})
        + _check_no_debuggers(path, template)
    )


def check_template_metadata(path: str, template: Obj) -> list[Cause]:
    meta = template.get("metadata") or {}
    causes = checking.labels(f"{path}.labels", meta.get("labels"))
    for key in meta.get("annotations") or ():
        if not names.follows(key.lower(), "qualified"):
            causes += [errors.invalid_value(f"{path}.annotations", key, why) for why in names.problems(key.lower(), "qualified")]
    return causes + pod_annotations.check(f"{path}.annotations", meta.get("annotations"), template.get("spec") or {})


def _check_no_debuggers(path: str, template: Obj) -> list[Cause]:
    if (template.get("spec") or {}).get("ephemeralContainers"):
        return [errors.forbidden_field(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")]
    return []


def _check_selector(spec: Obj, kind: str) -> list[Cause]:
    selector = spec.get("selector")
    if selector is None:
        return [errors.required("spec.selector")]
    causes = checking.label_selector("spec.selector", selector)
    if _is_empty(selector):
        causes.append(errors.invalid_value("spec.selector", selector, f"empty selector is invalid for {kind}"))
    return causes


def _check_selector_kept(spec: Obj, old: Obj | None) -> list[Cause]:
    if old is None or same(spec.get("selector"), objects.spec(old).get("selector")):
        return []
    selector = spec.get("selector")
    return [errors.invalid_value("spec.selector", None if selector is None else shown_selector(selector), "field is immutable")]


def _check_template(spec: Obj, kind: str) -> list[Cause]:
    selector, template = spec.get("selector"), spec.get("template") or {}
    if _is_wrong(selector):
        return [errors.invalid_value("spec.selector", shown_selector(selector), "invalid label selector")]
    causes = _check_matches(selector, template) if selector is None or not _is_empty(selector) else []
    return causes + check_template_spec(_TEMPLATE, template) + _check_always(template, kind)


def _check_matches(selector: Obj | None, template: Obj) -> list[Cause]:
    found = (template.get("metadata") or {}).get("labels")
    if selector is not None and selectors.from_label_selector(selector).matches(found):
        return []
    shown = found and dict(sorted(found.items()))
    return [errors.invalid_value(f"{_TEMPLATE}.metadata.labels", shown, "`selector` does not match template `labels`")]


def _check_always(template: Obj, kind: str) -> list[Cause]:
    pod = template.get("spec") or {}
    causes: list[Cause] = []
    if pod.get("restartPolicy") != "Always":
        causes.append(errors.not_supported(f"{_TEMPLATE}.spec.restartPolicy", pod.get("restartPolicy") or "", ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        path = f"{_TEMPLATE}.spec.activeDeadlineSeconds"
        causes.append(errors.forbidden_field(path, f"activeDeadlineSeconds in {kind} is not Supported"))
    return causes


def shown_selector(selector: Obj | None) -> Obj:
    """A selector as the real server prints it: labels in order."""
    given = selector or {}
    shown: Obj = {"matchLabels": dict(sorted(given["matchLabels"].items()))} if given.get("matchLabels") else {}
    expressions = [{"key": "", "operator": "", **e} for e in given.get("matchExpressions") or ()]
    return {**shown, "matchExpressions": expressions} if expressions else shown


def _is_empty(selector: Any) -> bool:
    return not (selector.get("matchLabels") or selector.get("matchExpressions"))


def _is_wrong(selector: Obj | None) -> bool:
    """Does it say what no selector can?"""
    try:
        selectors.from_label_selector(selector)
    except ValueError:
        return True
    return False
