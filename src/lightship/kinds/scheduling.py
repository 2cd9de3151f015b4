"""Kinds of the group `scheduling.k8s.io`: v1, and v1alpha2, which upstream has off and we have on.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 scheduling/v1 and v1alpha2.
"""

from lightship.meta.resources import Part, Resource

from . import cells, facts, pod_groups, priority_classes

PRIORITY_CLASSES = facts.resource(
    "scheduling.k8s.io/v1/priorityclasses",
    prepare=priority_classes.prepare,
    default=priority_classes.default,
    validate=priority_classes.validate,
    row=priority_classes.row,
)
POD_GROUPS = facts.resource(
    "scheduling.k8s.io/v1alpha2/podgroups",
    prepare=pod_groups.prepare,
    default=pod_groups.default,
    validate=pod_groups.validate,
    parts={"status": Part(prepare=pod_groups.prepare_status, validate=pod_groups.validate_status)},
    row=pod_groups.row,
)
WORKLOADS = facts.resource(
    "scheduling.k8s.io/v1alpha2/workloads",
    prepare=pod_groups.prepare_workload,
    default=pod_groups.default_workload,
    validate=pod_groups.validate_workload,
    row=cells.name_and_age,
)

RESOURCES: tuple[Resource, ...] = (PRIORITY_CLASSES, POD_GROUPS, WORKLOADS)
