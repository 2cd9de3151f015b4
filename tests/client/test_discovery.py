"""What a cluster serves, as the command line finds it out: from real answers, and by the words that people type."""

import pytest

from lightship import kinds
from lightship.client.discovery import discover, find, of_kind
from lightship.client.http import HttpTransport
from lightship.meta.resources import Resource
from tests.client.backends import Backend, Site

RESOURCES = [
    Resource(group="", version="v1", kind="Pod", plural="pods", singular="pod", short_names=("po",)),
    Resource(group="apps", version="v1", kind="Deployment", plural="deployments", singular="deployment", short_names=("deploy",)),
    Resource(group="batch", version="v1", kind="Job", plural="jobs", singular="job"),
    Resource(group="other.dev", version="v2", kind="Job", plural="jobs", singular="job"),
]


@pytest.mark.parametrize(
    ("word", "want"),
    [
        ("pods", 0),
        ("po", 0),
        ("Pod", 0),
        ("deploy", 1),
        ("deployments.apps", 1),
        ("deployments.v1.apps", 1),
        ("jobs", 2),
        ("jobs.other.dev", 3),
        ("job.v2.other.dev", 3),
    ],
)
def test_words(word: str, want: int) -> None:
    assert find(RESOURCES, word) is RESOURCES[want]


def test_unknown_words_and_kinds() -> None:
    assert find(RESOURCES, "nonsense") is None
    assert find(RESOURCES, "jobs.batch.other") is None
    assert of_kind(RESOURCES, "other.dev/v2", "Job") is RESOURCES[3]
    assert of_kind(RESOURCES, "other.dev/v1", "Job") is None


def test_a_cluster_says_what_it_serves(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        if not isinstance(site.transport, HttpTransport):
            pytest.skip("discovery is the HTTP front's")
        found = await discover(site.transport)
        for want in (kinds.PODS, kinds.JOBS, kinds.NODES, kinds.LEASES):
            resource = of_kind(found, want.api_version, want.kind)
            assert resource is not None
            assert (resource.plural, resource.namespaced) == (want.plural, want.namespaced)
            assert find(found, want.plural) == want
        pods = find(found, "po")
        assert pods is not None
        assert pods.kind == "Pod"
        assert b"gitVersion" in await site.transport.fetch("/version")

    backend.run(scenario)
