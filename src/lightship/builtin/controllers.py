"""The table of contents of this room: all its controllers, for `main` to add to a manager."""

from collections.abc import Callable, Iterable

from lightship.builtin import accounttokens, ephemeral, namespace, podgc, protection, quota, rootca, serviceaccount, ttl
from lightship.builtin.api import JOB_SETS
from lightship.builtin.certificates import approver, cleaner, signer
from lightship.builtin.certificates.authority import Authority
from lightship.builtin.clusterroles import controller as clusterroles
from lightship.builtin.cronjob import controller as cronjob
from lightship.builtin.daemonset import controller as daemonset
from lightship.builtin.deployment import controller as deployment
from lightship.builtin.disruption import controller as disruption
from lightship.builtin.disruption import stale
from lightship.builtin.endpoints import controller as endpoints
from lightship.builtin.garbage import controller as garbage
from lightship.builtin.hpa import controller as autoscaler
from lightship.builtin.job import controller as job
from lightship.builtin.jobset import controller as jobset
from lightship.builtin.known_kinds import KnownKinds
from lightship.builtin.nodes import eviction, lifecycle
from lightship.builtin.policies import controller as policies
from lightship.builtin.replicaset import controller as replicaset
from lightship.builtin.resourceclaims import controller as resourceclaims
from lightship.builtin.statefulset import controller as statefulset
from lightship.control import Controller, Manager
from lightship.meta.resources import Resource


def controllers(
    manager: Manager,
    *,
    resources: Iterable[Resource],
    ca_pem: str,
    authority: Callable[[], Authority] | None = None,
    sign: accounttokens.Sign | None = None,
) -> list[Controller]:
    """`resources` are the kinds that the server serves from the start: they are garbage collected, and emptied out of deleted namespaces,
    as are those that users define (nobody works on JobSets that are not among them). `ca_pem` are the certificates that pods shall trust
    the API server by. Without an `authority` nobody signs certificates, and without `sign` nobody fills the Secrets of ServiceAccounts
    with tokens."""
    resources = list(resources)
    served = KnownKinds(manager, resources)
    return [
        namespace.controller(manager, served),
        serviceaccount.controller(manager),
        rootca.controller(manager, ca_pem),
        clusterroles.controller(manager),
        approver.controller(manager),
        cleaner.controller(manager),
        *([signer.controller(manager, authority)] if authority else []),
        *([accounttokens.controller(manager, sign, ca_pem)] if sign else []),
        *([jobset.controller(manager)] if JOB_SETS in resources else []),
        job.controller(manager),
        *replicaset.controllers(manager),
        deployment.controller(manager),
        statefulset.controller(manager),
        daemonset.controller(manager),
        cronjob.controller(manager),
        endpoints.controller(manager),
        disruption.controller(manager, served),
        stale.controller(manager),
        autoscaler.controller(manager, served),
        podgc.controller(manager),
        lifecycle.controller(manager),
        eviction.controller(manager),
        ttl.controller(manager),
        ephemeral.controller(manager),
        *resourceclaims.controllers(manager),
        quota.controller(manager, served),
        *protection.controllers(manager),
        policies.controller(manager, resources),
        garbage.controller(manager, served),
    ]
