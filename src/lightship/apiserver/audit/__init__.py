"""The audit trail: who asked for what, when, and what became of it, as the policy of the cluster wants it written.

`policy` says how much of a request is written, `trail` follows one request through its stages, `sinks` carry events away (a log file that
is rotated, a webhook that gets batches). Without a policy nothing of it is touched.
Contract: audit.k8s.io/v1 Policy, Event, EventList.
"""

from .policy import Policy, parse_policy
from .sinks import LogFile, Sink, Webhook
from .trail import PATCH, Auditor, Trail

__all__ = ["PATCH", "Auditor", "LogFile", "Policy", "Sink", "Trail", "Webhook", "parse_policy"]
