"""The JobSet API: its Resource, and the words that other rooms need to talk about JobSets.

Imported by `controllers`, by capabilities that create JobSets, and by `main`, which serves it. Knows `meta` and `kinds` only.
Contract: jobset.x-k8s.io/v1alpha2 of JobSet 0.12; the schema is made by `tools/make_jobset_schema.py`.
"""

from pathlib import Path

from lightship.builtin.jobset import rules, terms
from lightship.meta import codec
from lightship.meta.resources import Column, Resource

JOB_SETS = Resource(
    group="jobset.x-k8s.io",
    version="v1alpha2",
    kind="JobSet",
    plural="jobsets",
    singular="jobset",
    status=True,
    custom=True,
    schema=codec.decode((Path(__file__).parent / "data" / "jobset.json").read_bytes()),
    default=rules.default,
    validate=rules.validate,
    columns=(
        Column("TerminalState", json_path=".status.terminalState"),
        Column("Restarts", json_path=".status.restarts"),
        Column("Completed", json_path='.status.conditions[?(@.type=="Completed")].status'),
        Column("Suspended", json_path=".spec.suspend"),
        Column("Age", "date", json_path=".metadata.creationTimestamp"),
    ),
)

NAME_LABEL = terms.NAME
REPLICATED_JOB_LABEL = terms.REPLICATED_JOB
JOB_INDEX_LABEL = terms.JOB_INDEX
RESTART_ATTEMPT_LABEL = terms.RESTART_ATTEMPT
CONTROLLER_NAME = terms.CONTROLLER_NAME

COMPLETED = terms.COMPLETED
FAILED = terms.FAILED
SUSPENDED = terms.SUSPENDED
