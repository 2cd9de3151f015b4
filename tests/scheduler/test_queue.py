"""Which waiting pod is next, which backs off and which is parked, with times handed in."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.scheduler.queue import FORGOTTEN_AFTER, Queue
from lightship.scheduler.snapshot import PodInfo
from tests.scheduler import make

NEVER = frozenset({"resources"})


def pod(name: str, priority: int = 0, created: float = 0.0) -> PodInfo:
    return msgspec.structs.replace(make.info(name), priority=priority, created=created)


def taken(queue: Queue, now: float, most: int = 10) -> list[str]:
    return [found.key.name for found in queue.take(now, most)]


def test_the_important_go_first_then_the_old() -> None:
    queue = Queue()
    for found in (pod("young", 0, 2.0), pod("old", 0, 1.0), pod("urgent", 5, 3.0)):
        queue.add(found)
    assert taken(queue, 0.0, 2) == ["urgent", "old"]
    assert taken(queue, 0.0) == ["young"]
    assert taken(queue, 0.0) == []


def test_a_parked_pod_waits_for_what_can_help_it() -> None:
    queue, waits = Queue(), pod("p")
    queue.add(waits)
    queue.take(0.0, 1)
    queue.failed(waits, NEVER, 0.0)
    assert queue.due(0.0) == FORGOTTEN_AFTER
    queue.wake({"labels", "taints"})
    assert taken(queue, 100.0) == []
    queue.wake({"resources"})
    assert queue.due(100.0) == 0.0
    assert taken(queue, 100.0) == ["p"]


def test_a_parked_pod_is_not_forgotten_for_ever() -> None:
    queue, waits = Queue(), pod("p")
    queue.add(waits)
    queue.take(0.0, 1)
    queue.failed(waits, NEVER, 0.0)
    assert taken(queue, FORGOTTEN_AFTER - 1) == []
    assert taken(queue, FORGOTTEN_AFTER) == ["p"]


def test_who_fails_often_is_tried_less_often_while_others_wait() -> None:
    queue, clumsy = Queue(), pod("clumsy")
    queue.add(clumsy)
    now = 0.0
    for pause in (1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
        assert taken(queue, now) == ["clumsy"]
        queue.failed(clumsy, NEVER, now)
        queue.wake({"resources"})
        queue.add(pod("other"))
        assert taken(queue, now + pause - 0.1) == ["other"]
        now += pause
        queue.remove(pod("other").key)


def test_with_nothing_else_to_do_a_woken_pod_need_not_wait() -> None:
    queue, waits = Queue(), pod("p")
    queue.add(waits)
    queue.take(0.0, 1)
    queue.failed(waits, NEVER, 0.0)
    queue.wake({"resources"})
    assert taken(queue, 0.1) == ["p"]


def test_a_pod_with_which_something_went_wrong_always_waits() -> None:
    queue, waits = Queue(), pod("p")
    queue.add(waits)
    queue.take(0.0, 1)
    queue.failed(waits, frozenset(), 0.0)
    assert taken(queue, 0.5) == []
    assert queue.due(0.5) == 0.5
    assert taken(queue, 1.0) == ["p"]


def test_a_pod_that_has_changed_is_looked_at_at_once() -> None:
    queue, waits = Queue(), pod("p")
    queue.add(waits)
    queue.take(0.0, 1)
    queue.failed(waits, NEVER, 0.0)
    queue.add(waits)
    assert taken(queue, 0.0) == ["p"]
    queue.remove(waits.key)
    queue.failed(waits, NEVER, 0.0)
    assert queue.due(0.0) is None


STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove", "take", "fail", "wake", "later"]), st.integers(0, 3)), max_size=40)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_no_pod_is_lost_or_taken_twice(steps: list[tuple[str, int]]) -> None:
    queue, now = Queue(), 0.0
    here: set[str] = set()
    out: dict[str, PodInfo] = {}
    for step, number in steps:
        found = pod(f"p{number}")
        match step:
            case "add":
                queue.add(found)
                here.add(found.key.name)
                out.pop(found.key.name, None)
            case "remove":
                queue.remove(found.key)
                here.discard(found.key.name)
                out.pop(found.key.name, None)
            case "take":
                for got in queue.take(now, number):
                    assert got.key.name not in out
                    out[got.key.name] = got
            case "fail" if found.key.name in out:
                queue.failed(out.pop(found.key.name), NEVER, now)
            case "wake":
                queue.wake({"resources"})
            case _:
                now += number
    now += FORGOTTEN_AFTER
    assert set(taken(queue, now, 100)) | out.keys() == here
