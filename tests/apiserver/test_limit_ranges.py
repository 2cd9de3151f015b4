"""LimitRanger: defaults for containers, and the bounds that pods and claims must keep."""

import pytest

from lightship import kinds
from lightship.meta.objects import Obj

from .site import PODS, Site, pod, refused, run


def limit_range(*limits: Obj) -> Obj:
    return {"metadata": {"name": "limits"}, "spec": {"limits": list(limits)}}


def asking(requests: dict[str, str], limits: dict[str, str]) -> Obj:
    template: Obj = pod("p")
    template["spec"]["containers"][0]["resources"] = {"requests": requests, "limits": limits}
    return template


def test_containers_get_defaults_and_a_note() -> None:
    async def test(site: Site) -> None:
        limit = {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m", "memory": "64Mi"}}
        await site.create(kinds.LIMIT_RANGES, limit_range(limit))
        made = await site.create(PODS, asking({"memory": "1Gi"}, {}))
        assert made["spec"]["containers"][0]["resources"] == {"requests": {"memory": "1Gi", "cpu": "100m"}, "limits": {"cpu": "500m"}}
        assert made["status"]["qosClass"] == "Burstable"
        name = made["spec"]["containers"][0]["name"]
        note = made["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
        assert note == f"LimitRanger plugin set: cpu request for container {name}; cpu limit for container {name}"

    run(test)


@pytest.mark.parametrize(
    ("limit", "requests", "limits", "message"),
    [
        ({"type": "Container", "max": {"cpu": "1"}}, {"cpu": "1"}, {"cpu": "2"}, "maximum cpu usage per Container is 1, but limit is 2"),
        ({"type": "Pod", "max": {"memory": "1Gi"}}, {}, {}, "maximum memory usage per Pod is 1Gi.  No limit is specified"),
        ({"type": "Container", "min": {"cpu": "1"}}, {"cpu": "500m"}, {}, "minimum cpu usage per Container is 1, but request is 500m"),
        (
            {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
            {"cpu": "1"},
            {"cpu": "3"},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        ({"type": "Pod", "max": {"cpu": "1"}}, {"cpu": "2"}, {"cpu": "2"}, "maximum cpu usage per Pod is 1, but limit is 2"),
    ],
)
def test_pods_keep_the_bounds(limit: Obj, requests: dict[str, str], limits: dict[str, str], message: str) -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.LIMIT_RANGES, limit_range(limit))
        with refused(403, "Forbidden", f'pods "p" is forbidden: {message}'):
            await site.create(PODS, asking(requests, limits))

    run(test)


def test_claims_keep_the_bounds() -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.LIMIT_RANGES, limit_range({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}))
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
        with refused(403, "Forbidden", "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"):
            await site.create(kinds.PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": spec})

    run(test)


def test_other_namespaces_are_free() -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.LIMIT_RANGES, limit_range({"type": "Pod", "max": {"cpu": "1m"}}))
        await site.create(PODS, asking({"cpu": "1"}, {"cpu": "1"}), "kube-public")

    run(test)
