"""Accept headers: which representation a client gets, and in which words it is refused."""

import time

import pytest

from lightship.apiserver.media import negotiation
from lightship.apiserver.media.negotiation import JSON, PLAIN, PROTOBUF, YAML, Accepted, Endpoint
from lightship.meta.errors import StatusError

OBJECTS = Endpoint(negotiation.OBJECT_FORMS)
CUSTOM = Endpoint(negotiation.OBJECT_FORMS, (JSON, YAML), routed=False)
REVIEWS = Endpoint(negotiation.METADATA_FORMS)
WATCH = Endpoint(negotiation.OBJECT_FORMS, streaming=True)
META = ";g=meta.k8s.io;v=v1"
TABLE = Accepted("Table", "meta.k8s.io", "v1")
METADATA = Accepted("PartialObjectMetadata", "meta.k8s.io", "v1")


@pytest.mark.parametrize(
    ("header", "want"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        (JSON, PLAIN),
        (f"{JSON}; charset=utf-8", PLAIN),
        (f"{JSON};q=0", PLAIN),
        (f"{JSON};sv=v1", PLAIN),
        (f"{JSON};stream=watch", PLAIN),
        (f"text/html,{JSON}", PLAIN),
        ("text/html,*/*;q=0.1", PLAIN),
        (f"{JSON};pretty=1", Accepted(pretty=True)),
        (YAML, Accepted(media=YAML)),
        (PROTOBUF, Accepted(media=PROTOBUF)),
        (f"{JSON};q=0.1,{YAML};q=0.2", Accepted(media=YAML)),
        (f"{JSON};as=Table{META}", TABLE),
        (f"{YAML};as=Table{META}", TABLE._replace(media=YAML)),
        (f"{JSON};as=Table;g=meta.k8s.io;v=v1beta1,{JSON}", TABLE._replace(version="v1beta1")),
        (f"{JSON};as=Table;g=meta.k8s.io;v=v2,{JSON}", PLAIN),
        (f"{JSON};as=PartialObjectMetadata{META}", METADATA),
        (f"{PROTOBUF};as=PartialObjectMetadata{META}", METADATA._replace(media=PROTOBUF)),
        (f"{PROTOBUF};as=Table{META},{JSON};as=Table{META}", TABLE),
    ],
)
def test_what_a_client_gets(header: str, want: Accepted) -> None:
    assert negotiation.accept(header, OBJECTS) == want


@pytest.mark.parametrize(
    ("header", "want"),
    [
        (f"{PROTOBUF},{JSON}", PLAIN),
        (f"{PROTOBUF};q=0.9,{JSON};q=0.1", PLAIN),
        (f"{PROTOBUF},*/*;q=0.1", PLAIN),
        (f"{PROTOBUF},{YAML}", Accepted(media=PROTOBUF)),
        (f"{PROTOBUF};as=PartialObjectMetadata{META},{JSON};as=PartialObjectMetadata{META},{JSON}", METADATA),
        (f"{PROTOBUF};as=PartialObjectMetadata{META},{JSON}", METADATA._replace(media=PROTOBUF)),
    ],
)
def test_json_goes_where_json_will_do(header: str, want: Accepted) -> None:
    assert negotiation.accept(header, OBJECTS) == want


NOT_PRODUCED = f"406: Not Acceptable\n\nAvailable representations: {JSON}, {YAML}, {PROTOBUF}"
NOT_ACCEPTED = f"only the following media types are accepted: {JSON}, {YAML}, {PROTOBUF}"
NOT_STREAMED = f"only the following media types are accepted: {JSON};stream=watch, {PROTOBUF};stream=watch"


@pytest.mark.parametrize(
    ("header", "endpoint", "want"),
    [
        ("text/html", OBJECTS, NOT_PRODUCED),
        ("application/*", OBJECTS, NOT_PRODUCED),
        ("APPLICATION/JSON", OBJECTS, NOT_PRODUCED),
        ("*", OBJECTS, NOT_PRODUCED),
        ("json", OBJECTS, NOT_PRODUCED),
        ("application/cbor", OBJECTS, NOT_PRODUCED),
        (f"{JSON};as=Foo", OBJECTS, NOT_ACCEPTED),
        (f"{JSON};as=Table;g=meta.k8s.io;v=v2", OBJECTS, NOT_ACCEPTED),
        (f"{PROTOBUF};as=Table{META}", OBJECTS, NOT_ACCEPTED),
        (f"{JSON};sv=v2", OBJECTS, NOT_ACCEPTED),
        (f"{JSON};stream=x", OBJECTS, NOT_ACCEPTED),
        (f"{JSON};as=Table{META}", REVIEWS, NOT_ACCEPTED),
        (PROTOBUF, CUSTOM, NOT_ACCEPTED),
        ("text/html", CUSTOM, NOT_ACCEPTED),
        (YAML, WATCH, NOT_STREAMED),
    ],
)
def test_what_a_client_cannot_have(header: str, endpoint: Endpoint, want: str) -> None:
    with pytest.raises(StatusError) as refused:
        negotiation.accept(header, endpoint)
    assert (refused.value.code, refused.value.message) == (406, want)


def test_custom_kinds_are_not_looked_at_by_their_route() -> None:
    assert negotiation.accept("application/*", CUSTOM) == PLAIN
    assert negotiation.accept(f"{PROTOBUF};as=PartialObjectMetadata{META}", CUSTOM).media == PROTOBUF


@pytest.mark.parametrize(
    ("header", "want"),
    [
        ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", "v2"),
        ("application/json", ""),
    ],
)
def test_discovery_forms(header: str, want: str) -> None:
    assert negotiation.accept(header, Endpoint(negotiation.DISCOVERY_FORMS)).version == want


def test_refusals_come_in_the_form_that_was_asked_for_where_there_is_one() -> None:
    assert negotiation.of_error(YAML).media == YAML
    assert negotiation.of_error(PROTOBUF).media == PROTOBUF
    assert negotiation.of_error(f"{JSON};as=Table{META}") == Accepted(pretty=True)
    assert negotiation.of_error("text/html") == Accepted(pretty=True)


@pytest.mark.parametrize(
    ("parameter", "agent", "want"),
    [
        (None, "curl/8", True),
        ("", "Mozilla/5.0 x", True),
        ("0", "curl/8", False),
        ("x", "curl/8", False),
        ("true", "", True),
        (None, "kubectl", False),
    ],
)
def test_who_gets_it_pretty(parameter: str | None, agent: str, want: bool) -> None:
    assert negotiation.wants_pretty(parameter, agent) is want


def test_long_headers_take_no_time() -> None:
    start = time.process_time()
    for header in (f"{JSON}/x," * 3000 + JSON, "a/b;q=0.1," * 6000 + JSON, ";" * 60_000, "," * 60_000):
        try:
            negotiation.accept(header, OBJECTS)
        except StatusError as error:
            assert error.code == 406  # noqa: PT017 - some of these are refused
    assert time.process_time() - start < 1
