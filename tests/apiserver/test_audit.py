"""The audit trail: what a policy wants written, and what is written where."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.access.authz import Attributes
from lightship.apiserver.audit import Auditor, LogFile, parse_policy, sinks
from lightship.apiserver.audit.policy import Level
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.rest import User

ANN = User("ann", ("staff", "system:authenticated"))


def policy(*rules: Obj, **more: Any) -> Any:
    return parse_policy({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more})


def wish(**more: Any) -> Attributes:
    return Attributes(**{"user": ANN, "verb": "get", "resource": "pods", "namespace": "default", "name": "a", **more})


PODS = {"resources": [{"group": "", "resources": ["pods"]}]}


@pytest.mark.parametrize(
    ("rule", "asked", "known"),
    [
        ({}, wish(), True),
        ({"users": ["bob"]}, wish(), False),
        ({"userGroups": ["staff"]}, wish(), True),
        ({"verbs": ["create"]}, wish(), False),
        (PODS, wish(), True),
        (PODS, wish(subresource="log"), False),
        ({"resources": [{"group": "", "resources": ["pods/*"]}]}, wish(subresource="log"), True),
        ({"resources": [{"group": "", "resources": ["*/log"]}]}, wish(subresource="log"), True),
        ({"resources": [{"group": "apps"}]}, wish(), False),
        ({"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["b"]}]}, wish(), False),
        ({"namespaces": ["kube-system"]}, wish(), False),
        ({"namespaces": [""]}, wish(namespace=""), True),
        ({"nonResourceURLs": ["/healthz*"]}, wish(resource="", path="/healthz/ping"), True),
        ({"nonResourceURLs": ["/healthz*"]}, wish(), False),
    ],
)
def test_rules_know_requests(rule: Obj, asked: Attributes, known: bool) -> None:
    found = policy({"level": "Metadata", **rule}).wanted(asked)
    assert found.level == (Level.Metadata if known else Level.None_)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "must be an object of apiVersion audit.k8s.io/v1"),
        ({"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}, "needs rules"),
        ({"level": "All"}, 'rules[0].level: Unsupported value: "All"'),
        ({"level": "None", "omitStages": ["Later"]}, 'rules[0].omitStages: Invalid value: "Later"'),
        ({"level": "None", "nonResourceURLs": ["x"]}, "must begin with a '/'"),
        ({"level": "None", "nonResourceURLs": ["/x"], **PODS}, "rules cannot apply to both"),
    ],
)
def test_bad_policies_are_refused(document: Any, message: str) -> None:
    with pytest.raises(ValueError) as found:
        policy(document) if isinstance(document, dict) and "level" in document else parse_policy(document)
    assert message in str(found.value)


class Kept:
    """A sink that keeps events."""

    def __init__(self) -> None:
        self.events: list[Obj] = []

    def write(self, line: bytes) -> None:
        self.events.append(codec.decode(line))

    async def close(self) -> None: ...


def begin(auditor: Auditor, **more: Any) -> Any:
    return auditor.begin("id-1", wish(**more), uri="/api/v1/x", version="v1", agent="kubectl/1", source="127.0.0.1")


def test_each_level_writes_more() -> None:
    secret = {"metadata": {"name": "a", "uid": "u", "managedFields": [{}]}, "data": {"x": "y"}}

    async def story(level: str) -> list[Obj]:
        kept = Kept()
        rule = {"level": level, "omitStages": ["RequestReceived"], "omitManagedFields": True}
        trail = begin(Auditor(policy(rule), [kept], LoopClock()))
        if trail is None:
            return []
        trail.note_request(secret)
        trail.annotate("authorization.k8s.io/decision", "allow")
        trail.complete(200, codec.encode(secret))
        return kept.events

    assert virtual.run(story("None")) == []
    (plain,) = virtual.run(story("Metadata"))
    assert plain["user"] == {"username": "ann", "groups": ["staff", "system:authenticated"]}
    assert plain["objectRef"] == {"resource": "pods", "namespace": "default", "name": "a", "apiVersion": "v1", "uid": "u"}
    assert (plain["stage"], plain["responseStatus"]["code"], plain["auditID"]) == ("ResponseComplete", 200, "id-1")
    assert "requestObject" not in plain
    assert "responseObject" not in plain
    (asked,) = virtual.run(story("Request"))
    assert asked["requestObject"] == {"metadata": {"name": "a", "uid": "u"}, "data": {"x": "y"}}
    assert "responseObject" not in asked
    (all_,) = virtual.run(story("RequestResponse"))
    assert all_["responseObject"]["data"] == {"x": "y"}


def test_refusals_say_why() -> None:
    async def story() -> list[Obj]:
        kept = Kept()
        trail = begin(Auditor(policy({"level": "Metadata"}), [kept], LoopClock()), verb="create")
        trail.complete(403, codec.encode({"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": "no", "code": 403}))
        return kept.events

    received, complete = virtual.run(story())
    assert received["stage"] == "RequestReceived"
    assert complete["responseStatus"] == {"metadata": {}, "code": 403, "status": "Failure", "reason": "Forbidden", "message": "no"}


def test_the_log_is_rotated_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"

    async def story() -> None:
        log = LogFile(path, LoopClock(), size=100, backups=2)
        for number in range(6):
            log.write(json.dumps({"number": number, "padding": "x" * 60}).encode())
            await LoopClock().sleep(1)
        await log.close()

    virtual.run(story())
    assert json.loads(path.read_text())["number"] == 5
    assert len(list(tmp_path.iterdir())) == 3
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_does_not_fit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sinks, "MOST_WAITING", 2)

    async def story() -> None:
        log = LogFile(tmp_path / "audit.log", LoopClock())
        for number in range(5):
            log.write(str(number).encode())
        await log.close()

    virtual.run(story())
    assert (tmp_path / "audit.log").read_text() == "0\n1\n"
    assert "3 audit events were lost" in caplog.text
