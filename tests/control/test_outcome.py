"""What follows from how a reconcile ended."""

import asyncio

import pytest

from lightship.control.outcome import Done, Outcome, RequeueAfter, Result, Terminal, decide
from lightship.meta import errors

CONFLICT = errors.conflict("pods", "a", errors.MODIFIED)
EXISTS = errors.already_exists("pods", "a")
GOING = errors.StatusError(403, "Forbidden", "no", {"causes": [{"reason": "NamespaceTerminating"}]})
DOWN = errors.unavailable("not now")
TERMINAL = Terminal("NoSuchRuntime", "there is no runtime x")
BUG = KeyError("spec")


@pytest.mark.parametrize(
    ("returned", "raised", "want", "want_after", "want_traceback"),
    [
        pytest.param(Done(), None, Result.DONE, 0, False, id="done"),
        pytest.param(RequeueAfter(5), None, Result.REQUEUE, 5, False, id="again later"),
        pytest.param(RequeueAfter(-1), None, Result.REQUEUE, 0, False, id="a time that has passed means now"),
        pytest.param(None, CONFLICT, Result.CONFLICT, 0, False, id="somebody was faster"),
        pytest.param(None, EXISTS, Result.CONFLICT, 0, False, id="somebody created it first"),
        pytest.param(None, GOING, Result.DONE, 0, False, id="its namespace is being deleted"),
        pytest.param(None, ExceptionGroup("", [GOING, DOWN]), Result.RETRY, 0, False, id="a namespace that goes, and a refusal"),
        pytest.param(None, DOWN, Result.RETRY, 0, False, id="a refusal speaks for itself"),
        pytest.param(None, BUG, Result.RETRY, 0, True, id="a surprise shows where it came from"),
        pytest.param(None, TERMINAL, Result.TERMINAL, 0, False, id="hopeless"),
        pytest.param(None, ExceptionGroup("", [CONFLICT, EXISTS]), Result.CONFLICT, 0, False, id="only conflicts in a task group"),
        pytest.param(None, ExceptionGroup("", [CONFLICT, DOWN]), Result.RETRY, 0, False, id="a conflict and a refusal"),
        pytest.param(None, ExceptionGroup("", [CONFLICT, BUG]), Result.RETRY, 0, True, id="a conflict and a surprise"),
        pytest.param(
            None, ExceptionGroup("", [CONFLICT, ExceptionGroup("", [TERMINAL])]), Result.TERMINAL, 0, False, id="hopeless, deep inside"
        ),
        pytest.param(None, asyncio.CancelledError(), Result.RETRY, 0, True, id="something it waited for was cancelled"),
    ],
)
def test_decide(returned: Outcome | None, raised: BaseException | None, want: Result, want_after: float, want_traceback: bool) -> None:
    found = decide(returned, raised)
    assert (found.result, found.after, found.traceback) == (want, want_after, want_traceback)
    assert (found.error is None) == (raised in (None, GOING))


def test_the_error_shown_says_most() -> None:
    assert decide(None, ExceptionGroup("", [ExceptionGroup("", [DOWN])])).error is DOWN
    assert decide(None, ExceptionGroup("", [CONFLICT, TERMINAL])).error is TERMINAL


def test_terminal_says_reason_and_message() -> None:
    assert str(TERMINAL) == "NoSuchRuntime: there is no runtime x"
    assert (TERMINAL.reason, TERMINAL.message) == ("NoSuchRuntime", "there is no runtime x")
