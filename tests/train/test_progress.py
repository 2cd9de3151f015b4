"""The one line for training loops: what is reported, by whom, how often, and that nothing of it ever reaches the loop."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lightship.train.runtime import progress as module
from lightship.train.runtime.progress import EVERY_SECONDS, Reporter, progress, report

INSIDE = {"KUBEFLOW_TRAINER_SERVER_URL": "https://x/status"}


class Desk:
    """A reporter whose clock stands still unless told, and whose reports are kept."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.now = 1000.0
        self.sent: list[Any] = []
        self.reporter = Reporter(environ, lambda: self.now, lambda _, body: self.sent.append(json.loads(body)["trainerStatus"]))

    def reports(self) -> list[dict[str, Any]]:
        """What was sent, each without its time, once the thread has sent it."""
        self.reporter.close()
        return [{k: v for k, v in status.items() if k != "lastUpdatedTime"} for status in self.sent]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(INSIDE)
    monkeypatch.setattr(module, "_reporter", made.reporter)
    yield made
    made.reporter.close()


def test_a_loop_is_reported_at_its_beginning_now_and_then_and_at_its_end(desk: Desk) -> None:
    for _ in progress([1, 2, 3, 4]):
        desk.now += EVERY_SECONDS / 2
    percentages = [r.get("progressPercentage") for r in desk.reports()]
    assert percentages[-1] == 100
    assert set(percentages) <= {0, 50, 100}, "nothing in between: it was not time"
    assert desk.reports()[-1]["estimatedRemainingSeconds"] == 0


def test_the_time_that_is_left_follows_from_how_fast_it_went(desk: Desk) -> None:
    for step in (10, 20):
        report(step, 110)
        desk.now += 60
    report(30, 110)
    last = desk.reports()[-1]
    assert last["estimatedRemainingSeconds"] == 480, "20 steps in two minutes, 80 to go: a run that was resumed did not do the first 10"
    assert last["progressPercentage"] == 27
    assert last["metrics"] == [{"name": "current_step", "value": "30"}, {"name": "total_steps", "value": "110"}]


def test_loops_may_be_nested(desk: Desk) -> None:
    for _ in progress(range(2)):
        for batch in progress(range(10)):
            if batch == 5:
                desk.now += EVERY_SECONDS
                report(loss=0.25)
                break
    percentages = [r["progressPercentage"] for r in desk.reports()]
    assert percentages[-1] == 100
    assert set(percentages) <= {0, 25, 75, 100}


def test_a_loop_without_an_end_reports_its_metrics_alone(desk: Desk) -> None:
    for number in progress(iter(range(3))):
        report(loss=number / 2)
    assert desk.reports()[-1] == {"metrics": [{"name": "loss", "value": "1"}]}, "what was too early is sent at the end"


class Tensor:
    def __init__(self) -> None:
        self.asked = 0

    def __float__(self) -> float:
        self.asked += 1
        return 0.123456789


def test_tensors_are_asked_for_their_value_only_when_it_is_sent(desk: Desk) -> None:
    loss = Tensor()
    for step in range(10):
        report(step, 100, loss=loss, name="x" * 100, broken=object(), exact=123456789)
    assert loss.asked == 1
    told = {m["name"]: m["value"] for m in desk.reports()[-1]["metrics"]}
    assert told == {"current_step": "9", "total_steps": "100", "loss": "0.123457", "name": "x" * 64, "exact": "123456789"}


@pytest.mark.parametrize(
    "environ",
    [{}, {**INSIDE, "RANK": "1"}, {**INSIDE, "RANK": "3", "JOB_COMPLETION_INDEX": "0"}, {**INSIDE, "JAX_PROCESS_ID": "2"}],
    ids=["outside", "rank 1", "rank 3 of node 0", "JAX process 2"],
)
def test_who_does_not_report(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(environ)
    monkeypatch.setattr(module, "_reporter", desk.reporter)
    assert list(progress([1, 2])) == [1, 2]
    report(1, 2, loss=1.0)
    assert desk.reports() == []
    assert desk.reporter._thread is None


def test_a_child_of_the_training_process_does_not_report(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk({**INSIDE, "RANK": "0"})
    monkeypatch.setattr(desk.reporter, "_process", os.getpid() + 1)
    monkeypatch.setattr(module, "_reporter", desk.reporter)
    report(1, 2)
    assert desk.reports() == []


def test_nothing_that_goes_wrong_reaches_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(environ: Mapping[str, str], body: bytes) -> None:
        raise OSError("nobody is there")

    reporter = Reporter(INSIDE, send=send)
    monkeypatch.setattr(module, "_reporter", reporter)
    assert list(progress([1, 2], total=0)) == [1, 2]
    report("one", "two", loss=1)  # type: ignore[arg-type]  # who never reads a signature
    reporter.close()


def test_a_loop_that_raises_is_over() -> None:
    def loop() -> None:
        for _ in progress([1]):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        loop()
    assert module._loops == []
