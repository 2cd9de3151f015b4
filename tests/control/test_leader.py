"""Who may lead, decided over Leases."""

import pytest

from lightship.control.leader import Instant, Seen, Terms, decide
from lightship.meta.objects import Obj

TERMS = Terms()
NOW = Instant(wall=1_700_000_000.0, monotonic=100.0)
NOW_TEXT = "2023-11-14T22:13:20.000000Z"
EARLIER = "2023-11-14T22:00:00.000000Z"


def lease(holder: str, *, duration: int = 15, transitions: int = 3, renewed: str = EARLIER) -> Obj:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": duration, "leaseTransitions": transitions}
    return {"metadata": {"name": "l", "resourceVersion": "5"}, "spec": spec | {"acquireTime": EARLIER, "renewTime": renewed}}


def seen(obj: Obj, ago: float) -> Seen:
    return Seen(obj["spec"], NOW.monotonic - ago)


FREE, MINE, THEIRS = lease(""), lease("me"), lease("them")


@pytest.mark.parametrize(
    ("found", "before", "want_acquired", "want_transitions"),
    [
        pytest.param(None, None, NOW_TEXT, 0, id="there is none: create it"),
        pytest.param(FREE, None, NOW_TEXT, 4, id="given back: take it at once"),
        pytest.param(MINE, seen(MINE, 1), EARLIER, 3, id="ours: renew it"),
        pytest.param(MINE, None, EARLIER, 3, id="ours from before we restarted"),
        pytest.param(THEIRS, seen(THEIRS, 15), NOW_TEXT, 4, id="theirs and run out: take it"),
    ],
)
def test_taking_and_renewing(found: Obj | None, before: Seen | None, want_acquired: str, want_transitions: int) -> None:
    step = decide(found, before, "me", NOW, TERMS)
    assert step.spec == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": want_acquired,
        "renewTime": NOW_TEXT,
        "leaseTransitions": want_transitions,
    }


@pytest.mark.parametrize(
    ("found", "before", "want_since"),
    [
        pytest.param(THEIRS, None, 100.0, id="first seen now, however old it says it is"),
        pytest.param(THEIRS, seen(THEIRS, 14.9), 85.1, id="not run out yet"),
        pytest.param(lease("them", renewed=NOW_TEXT), seen(THEIRS, 20), 100.0, id="renewed since we looked"),
        pytest.param(lease("them", duration=60), seen(lease("them", duration=60), 20), 80.0, id="theirs lasts as long as they said"),
    ],
)
def test_waiting(found: Obj, before: Seen | None, want_since: float) -> None:
    step = decide(found, before, "me", NOW, TERMS)
    assert step.spec is None
    assert step.seen is not None
    assert step.seen.spec == found["spec"]
    assert step.seen.since == pytest.approx(want_since)
