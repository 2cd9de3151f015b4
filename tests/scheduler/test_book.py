"""The book holds the pods that want a node from us or take up room on one, and nothing of the others."""

from typing import Any

from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler.book import Book
from tests.scheduler import make

KEY = Key("default", "p")


def pod(uid: str = "u", status: Obj | None = None, **spec: Any) -> Obj:
    found = make.pod("p", **spec)
    found["metadata"]["uid"] = uid
    found["status"] = status or {}
    return found


def test_a_pod_waits_is_placed_and_ends() -> None:
    book, waits, placed, ended = Book(), pod(), pod(nodeName="n"), pod(nodeName="n", status={"phase": "Succeeded"})
    book.note(KEY, None, waits)
    assert (list(book.waiting), list(book.placed)) == ([KEY], [])
    book.note(KEY, waits, placed)
    assert (list(book.waiting), book.placed[KEY].node_name) == ([], "n")
    book.note(KEY, placed, ended)
    assert not book.waiting
    assert not book.placed


def test_pods_of_other_schedulers_are_not_kept() -> None:
    book = Book()
    book.note(KEY, None, pod(schedulerName="other"))
    assert not book.waiting
    assert not book.placed


def test_a_pod_that_is_gone_is_forgotten() -> None:
    book, waits = Book(), pod()
    book.note(KEY, None, waits)
    book.note(KEY, waits, None)
    assert not book.waiting


def test_a_change_of_the_status_is_not_read_again_but_what_it_says_is() -> None:
    book, before = Book(), pod()
    book.note(KEY, None, before)
    known = book.waiting[KEY]
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    after = objects.copy(before)
    after["status"] = {"conditions": [said]}
    book.note(KEY, before, after)
    assert book.waiting[KEY] is known
    assert book.said[KEY] == ("Unschedulable", "no room")


def test_another_pod_of_the_name_and_another_spec_are_read() -> None:
    book, before = Book(), pod(nodeName="n")
    book.note(KEY, None, before)
    again = pod(uid="v", nodeName="n")
    book.note(KEY, before, again)
    assert book.placed[KEY].uid == "v"
    bigger = pod(uid="v", nodeName="n", requests={"cpu": "2"})
    book.note(KEY, again, bigger)
    assert book.placed[KEY].requests["cpu"] == 2000
