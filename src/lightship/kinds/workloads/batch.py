"""Kinds of the group `batch/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 batch/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Part, Resource

from . import cron_rules, job_checks, job_rules, job_status_checks
from . import rules as workloads
from . import warnings as workload_warnings

CRON_JOBS = facts.resource(
    "batch/v1/cronjobs",
    prepare=workloads.prepare,
    default=cron_rules.default,
    validate=cron_rules.validate,
    warn=workload_warnings.cron_job,
    row=cron_rules.row,
)
JOBS = facts.resource(
    "batch/v1/jobs",
    selectable={"status.successful": ("status", "succeeded")},
    prepare=job_rules.prepare,
    default=job_rules.default,
    validate=job_checks.validate,
    warn=workload_warnings.job,
    parts={"status": Part(validate=job_status_checks.validate)},
    row=job_rules.row,
    keeps_dependents=job_rules.KEEPS_PODS,
)

RESOURCES: tuple[Resource, ...] = (CRON_JOBS, JOBS)
