"""The table of contents of this room: all its controllers, for `main` to add to a manager."""

from collections.abc import Callable, Iterable

from lightship.builtin import (
    accounttokens,
    bootstraptokens,
    ephemeral,
    namespace,
    podgc,
    protection,
    quota,
    rootca,
    serviceaccount,
    servicecidrs,
    ttl,
)
from lightship.builtin.api import DISAGGREGATED_SETS, JOB_SETS, LEADER_WORKER_SETS
from lightship.builtin.certificates import approver, cleaner, signer
from lightship.builtin.certificates.authority import Authority
from lightship.builtin.clusterroles import controller as clusterroles
from lightship.builtin.coscheduling import controller as coscheduling
from lightship.builtin.cronjob import controller as cronjob
from lightship.builtin.daemonset import controller as daemonset
from lightship.builtin.deployment import controller as deployment
from lightship.builtin.devicetaints import controller as devicetaints
from lightship.builtin.disaggregatedset import controller as disaggregatedset
from lightship.builtin.disruption import controller as disruption
from lightship.builtin.disruption import stale
from lightship.builtin.endpoints import controller as endpoints
from lightship.builtin.endpoints import mirror_controller
from lightship.builtin.garbage import controller as garbage
from lightship.builtin.hpa import controller as autoscaler
from lightship.builtin.job import controller as job
from lightship.builtin.jobset import controller as jobset
from lightship.builtin.jobset import gates as jobset_gates
from lightship.builtin.known_kinds import KnownKinds
from lightship.builtin.leaderworkerset import controller as leaderworkerset
from lightship.builtin.leaderworkerset import group_controller as leaderworkerset_pods
from lightship.builtin.nodes import caching, eviction, lifecycle
from lightship.builtin.policies import controller as policies
from lightship.builtin.replicaset import controller as replicaset
from lightship.builtin.resourceclaims import controller as resourceclaims
from lightship.builtin.statefulset import controller as statefulset
from lightship.builtin.volumes import controller as binder
from lightship.control import Controller, Manager
from lightship.kinds import POD_GROUPS
from lightship.meta.resources import Resource


def controllers(
    manager: Manager,
    *,
    resources: Iterable[Resource],
    ca_pem: str,
    authority: Callable[[], Authority] | None = None,
    sign: accounttokens.Sign | None = None,
    gates: jobset_gates.Gates = jobset_gates.NONE,
    remove: binder.Remove | None = None,
) -> list[Controller]:
    """`resources` are the kinds that the server serves from the start: they are garbage collected, and emptied out of deleted namespaces,
    as are those that users define (nobody works on JobSets and LeaderWorkerSets that are not among them). `ca_pem` are the certificates
    that pods shall trust the API server by. Without an `authority` nobody signs certificates, and without `sign` nobody fills the Secrets
    of ServiceAccounts with tokens. `gates` say what of JobSet is switched on. `remove` takes away directories of this machine that
    volumes of type hostPath reclaim by deletion; without it they stay."""
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
        *bootstraptokens.controllers(manager),
        *([accounttokens.controller(manager, sign, ca_pem)] if sign else []),
        *([jobset.controller(manager, gates)] if JOB_SETS in resources else []),
        *([leaderworkerset.controller(manager), leaderworkerset_pods.controller(manager)] if LEADER_WORKER_SETS in resources else []),
        *([disaggregatedset.controller(manager)] if DISAGGREGATED_SETS in resources else []),
        job.controller(manager),
        *replicaset.controllers(manager),
        deployment.controller(manager),
        statefulset.controller(manager),
        daemonset.controller(manager),
        cronjob.controller(manager),
        *endpoints.controllers(manager),
        mirror_controller.controller(manager),
        disruption.controller(manager, served),
        stale.controller(manager),
        autoscaler.controller(manager, served),
        podgc.controller(manager),
        lifecycle.controller(manager),
        eviction.controller(manager),
        caching.controller(manager),
        ttl.controller(manager),
        ephemeral.controller(manager),
        binder.controller(manager, remove),
        *resourceclaims.controllers(manager),
        devicetaints.controller(manager),
        quota.controller(manager, served),
        *protection.controllers(manager),
        servicecidrs.controller(manager),
        *([protection.groups(manager)] if POD_GROUPS in resources else []),
        coscheduling.controller(manager, served),
        policies.controller(manager, resources),
        garbage.controller(manager, served),
    ]
