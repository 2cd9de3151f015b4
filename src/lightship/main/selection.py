"""Which controllers run: the list that `--controllers` takes, read as kube-controller-manager reads its own.

Called by `up` (for help) and `platform` (to choose). Which controllers there are comes from outside; known here is only which of
kube-controller-manager's does the work of which of ours, so that a list for the one can be given to the other.
Contract: kube-controller-manager --controllers: `*` is all, `name` one, `-name` not that one; the first word that names it wins.
"""

from collections.abc import Collection, Iterable

ALL = "*"
NONE = "none"
HELP = "help"
THEIRS = {
    "certificatesigningrequest-approving-controller": ("csrapproving",),
    "certificatesigningrequest-cleaner-controller": ("csrcleaner",),
    "certificatesigningrequest-signing-controller": ("csrsigning",),
    "clusterrole-aggregation-controller": ("clusterrole-aggregation-controller",),
    "cronjob-controller": ("cronjob",),
    "daemonset-controller": ("daemonset",),
    "deployment-controller": ("deployment",),
    "device-taint-eviction-controller": ("device-taint-eviction",),
    "disruption-controller": ("disruption", "stale-disruption"),
    "endpoints-controller": ("endpoints",),
    "endpointslice-controller": ("endpointslice",),
    "endpointslice-mirroring-controller": ("endpointslice-mirroring",),
    "ephemeral-volume-controller": ("ephemeral-volume",),
    "garbage-collector-controller": ("garbagecollector",),
    "horizontal-pod-autoscaler-controller": ("horizontalpodautoscaler",),
    "job-controller": ("job",),
    "namespace-controller": ("namespace",),
    "node-lifecycle-controller": ("nodelifecycle",),
    "persistentvolume-binder-controller": ("persistentvolume-binder",),
    "persistentvolume-protection-controller": ("pv-protection",),
    "persistentvolumeclaim-protection-controller": ("pvc-protection",),
    "pod-garbage-collector-controller": ("podgc",),
    "podgroup-protection-controller": ("podgroup-protection",),
    "replicaset-controller": ("replicaset",),
    "replicationcontroller-controller": ("replicationcontroller",),
    "resourceclaim-controller": ("resourceclaim", "resourceclaim-release"),
    "resourcequota-controller": ("resourcequota",),
    "root-ca-certificate-publisher-controller": ("rootca",),
    "service-cidr-controller": ("service-cidr-controller",),
    "serviceaccount-controller": ("serviceaccount",),
    "serviceaccount-token-controller": ("serviceaccount-token",),
    "statefulset-controller": ("statefulset",),
    "taint-eviction-controller": ("taint-eviction",),
    "ttl-after-finished-controller": ("ttl",),
    "ttl-controller": ("node-ttl",),
    "validatingadmissionpolicy-status-controller": ("validatingadmissionpolicy-status-controller",),
    "volumeattributesclass-protection-controller": ("vac-protection",),
}
"""kube-controller-manager's names, and ours that do the same work. Where both have one name it means the same."""


def words(text: str) -> tuple[str, ...]:
    """The words of a list, in our names; `none` and an empty list are none at all. A list of exceptions alone means all but those."""
    found = tuple(own for word in text.split(",") if word.strip() for own in _ours(word.strip()))
    if found in ((), (NONE,)):
        return ()
    return (*found, ALL) if all(word.startswith("-") for word in found) else found


def _ours(word: str) -> Iterable[str]:
    name = word.removeprefix("-")
    return [word.removesuffix(name) + own for own in THEIRS.get(name, (name,))]


def described(names: Iterable[str]) -> list[tuple[str, str]]:
    """What `--controllers help` says: each of our controllers, and which of kube-controller-manager's it stands for."""
    theirs = {own: name for name, replaced in THEIRS.items() for own in replaced}
    return [(name, theirs.get(name, "-")) for name in sorted(names)]


def selected(name: str, chosen: Collection[str]) -> bool:
    """Does a controller of this name run? `chosen` are the `words` of a list."""
    for word in chosen:
        if word.removeprefix("-") == name:
            return word == name
    return ALL in chosen


def unknown(chosen: Collection[str], names: Collection[str]) -> list[str]:
    """Words that name no controller there is."""
    return sorted(word for word in chosen if word != ALL and word.removeprefix("-") not in names)
