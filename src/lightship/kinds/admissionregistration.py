"""Kinds of the group `admissionregistration.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 admissionregistration/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

MUTATING_ADMISSION_POLICIES = facts.resource("admissionregistration.k8s.io/v1/mutatingadmissionpolicies")
MUTATING_ADMISSION_POLICY_BINDINGS = facts.resource("admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings")
MUTATING_WEBHOOK_CONFIGURATIONS = facts.resource("admissionregistration.k8s.io/v1/mutatingwebhookconfigurations")
VALIDATING_ADMISSION_POLICIES = facts.resource("admissionregistration.k8s.io/v1/validatingadmissionpolicies")
VALIDATING_ADMISSION_POLICY_BINDINGS = facts.resource("admissionregistration.k8s.io/v1/validatingadmissionpolicybindings")
VALIDATING_WEBHOOK_CONFIGURATIONS = facts.resource("admissionregistration.k8s.io/v1/validatingwebhookconfigurations")

RESOURCES: tuple[Resource, ...] = (
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
