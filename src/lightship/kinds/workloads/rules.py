"""What the server decides, fills in and shows of kinds that keep a number of pods; what is wrong with one is told in `checks`.

Called by the server through the resources in `kinds.apps` and `kinds.core`.
Contract: kube 1.36 pkg/registry/apps, pkg/apis/apps/v1 and core/v1 defaults; printers.
"""

from typing import Any

from lightship.kinds import cells
from lightship.kinds.pods.defaults import default_pod_spec
from lightship.kinds.storage.claim_rules import default_spec as default_claim_spec
from lightship.meta import objects, selectors
from lightship.meta.objects import Obj
from lightship.meta.patch import same

_REVISIONS = 10
_QUARTER = "25%"
_DEADLINE = 600
_ROLLING = "RollingUpdate"
TEMPLATE_VERSION = "deprecated.daemonset.template.generation"


def prepare(workload: Obj, old: Obj | None) -> None:
    """A new object has no status; an update cannot touch it."""
    workload["status"] = (old.get("status") or {}) if old is not None else {}


def prepare_counted(workload: Obj, old: Obj | None) -> None:
    """As `prepare`, for kinds whose status always tells a number of replicas."""
    workload["status"] = (old.get("status") or {}) if old is not None else {"replicas": 0}


def prepare_stateful_set(stateful: Obj, old: Obj | None) -> None:
    """`maxUnavailable` is behind a gate that is closed."""
    stateful["status"] = (old.get("status") or {}) if old is not None else {"replicas": 0, "availableReplicas": 0}
    rolling = (objects.spec(stateful).get("updateStrategy") or {}).get("rollingUpdate")
    if rolling:
        rolling.pop("maxUnavailable", None)


def prepare_daemon_set(daemons: Obj, old: Obj | None) -> None:
    """The version of the template is counted in an annotation, as the field that it once was is no more."""
    default_daemon_set(daemons)
    annotations = daemons["metadata"].get("annotations") or {}
    if old is None:
        counts = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
        daemons["status"] = dict.fromkeys(counts, 0)
        version = max(_template_version(annotations), 1)
    else:
        daemons["status"] = old.get("status") or {}
        changed = not same(daemons["spec"]["template"], objects.spec(old).get("template"))
        version = _template_version(objects.annotations(old)) + changed
    daemons["metadata"]["annotations"] = {**annotations, TEMPLATE_VERSION: str(version)}


def _template_version(annotations: Obj) -> int:
    text = annotations.get(TEMPLATE_VERSION) or ""
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def default_template(template: Obj) -> None:
    """Defaults of a PodTemplateSpec, in place."""
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_template(template: Obj) -> None:
    default_template(template.setdefault("template", {}))


def default_deployment(deployment: Obj) -> None:
    spec = _default_spec(deployment, replicas=True)
    strategy = spec.setdefault("strategy", {})
    strategy["type"] = strategy.get("type") or _ROLLING
    if strategy["type"] == _ROLLING:
        rolling = strategy["rollingUpdate"] = strategy.get("rollingUpdate") or {}
        for field in ("maxUnavailable", "maxSurge"):
            rolling.setdefault(field, _QUARTER)
    spec.setdefault("revisionHistoryLimit", _REVISIONS)
    spec.setdefault("progressDeadlineSeconds", _DEADLINE)


def default_replica_set(replicas: Obj) -> None:
    _default_spec(replicas, replicas=True)


def default_daemon_set(daemons: Obj) -> None:
    annotations = daemons["metadata"].get("annotations") or {}
    if TEMPLATE_VERSION not in annotations:
        daemons["metadata"]["annotations"] = {**annotations, TEMPLATE_VERSION: "0"}
    spec = _default_spec(daemons, replicas=False)
    strategy = spec.setdefault("updateStrategy", {})
    strategy["type"] = strategy.get("type") or _ROLLING
    if strategy["type"] == _ROLLING:
        rolling = strategy["rollingUpdate"] = strategy.get("rollingUpdate") or {}
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", _REVISIONS)


def default_stateful_set(stateful: Obj) -> None:
    spec = _default_spec(stateful, replicas=True)
    spec["podManagementPolicy"] = spec.get("podManagementPolicy") or "OrderedReady"
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = _ROLLING
        strategy["rollingUpdate"] = strategy.get("rollingUpdate") or {}
    if strategy["type"] == _ROLLING and strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec["persistentVolumeClaimRetentionPolicy"] = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        retention[field] = retention.get(field) or "Retain"
    spec.setdefault("revisionHistoryLimit", _REVISIONS)
    for claim in spec.get("volumeClaimTemplates") or ():
        default_claim_template(claim)


def default_claim_template(claim: Obj) -> None:
    """A template for claims is shown as the claims will be: with kind and status."""
    claim.setdefault("kind", "PersistentVolumeClaim")
    claim.setdefault("apiVersion", "v1")
    claim.setdefault("metadata", {})
    default_claim_spec(claim.setdefault("spec", {}))
    claim["status"] = claim.get("status") or {}
    claim["status"].setdefault("phase", "Pending")


def default_replication_controller(controller: Obj) -> None:
    """Selector and labels are those of the template where they are missing."""
    spec = controller.setdefault("spec", {})
    template = spec.get("template")
    if template is not None:
        default_template(template)
    labels = ((template or {}).get("metadata") or {}).get("labels")
    if labels:
        meta = controller.setdefault("metadata", {})
        spec["selector"] = spec.get("selector") or dict(labels)
        meta["labels"] = meta.get("labels") or dict(labels)
    spec.setdefault("replicas", 1)
    if not spec.get("minReadySeconds"):
        spec.pop("minReadySeconds", None)


def _default_spec(workload: Obj, *, replicas: bool) -> Obj:
    spec: Obj = workload.setdefault("spec", {})
    default_template(spec.setdefault("template", {}))
    if replicas:
        spec.setdefault("replicas", 1)
    return spec


def containers_of(template: Obj | None) -> tuple[str, str]:
    """The names and the images of a template's containers, as the last columns show them."""
    listed = ((template or {}).get("spec") or {}).get("containers") or ()
    return ",".join(c.get("name") or "" for c in listed), ",".join(c.get("image") or "" for c in listed)


def deployment_row(deployment: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(deployment), objects.status(deployment)
    return [
        objects.name(deployment),
        f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}",
        status.get("updatedReplicas") or 0,
        status.get("availableReplicas") or 0,
        cells.created(deployment, now),
        *containers_of(spec.get("template")),
        _selector_text(spec.get("selector")),
    ]


def replica_set_row(replicas: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(replicas), objects.status(replicas)
    selector = spec.get("selector")
    return [
        objects.name(replicas),
        spec.get("replicas") or 0,
        status.get("replicas") or 0,
        status.get("readyReplicas") or 0,
        cells.created(replicas, now),
        *containers_of(spec.get("template")),
        # A ReplicationController's selector is a map of labels.
        selectors.format_labels(selector) if replicas.get("kind") == "ReplicationController" else cells.selector(selector),
    ]


def daemon_set_row(daemons: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(daemons), objects.status(daemons)
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")
    pod = (spec.get("template") or {}).get("spec") or {}
    return [
        objects.name(daemons),
        *(status.get(count) or 0 for count in counts),
        selectors.format_labels(pod.get("nodeSelector")),
        cells.created(daemons, now),
        *containers_of(spec.get("template")),
        cells.selector(spec.get("selector")),
    ]


def stateful_set_row(stateful: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(stateful), objects.status(stateful)
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}"
    return [objects.name(stateful), ready, cells.created(stateful, now), *containers_of(spec.get("template"))]


def revision_row(revision: Obj, now: float) -> list[Any]:
    owner = objects.controller_of(revision)
    shown = cells.NONE
    if owner:
        group = owner["apiVersion"].rpartition("/")[0]
        shown = f"{owner['kind']}.{group}/{owner['name']}" if group else f"{owner['kind']}/{owner['name']}"
        kind, _, name = shown.rpartition("/")
        shown = f"{kind.lower()}/{name}"
    return [objects.name(revision), shown, revision.get("revision") or 0, cells.created(revision, now)]


def pod_template_row(template: Obj, now: float) -> list[Any]:
    inner = template.get("template") or {}
    return [objects.name(template), *containers_of(inner), selectors.format_labels((inner.get("metadata") or {}).get("labels"))]


def _selector_text(selector: Obj | None) -> str:
    try:
        return str(selectors.from_label_selector(selector))
    except ValueError:
        return "<invalid>"
