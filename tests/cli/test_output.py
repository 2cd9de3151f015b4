"""Tables, formats and progress, as pure text."""

import io

import pytest

from lightship.cli import describe, manifests
from lightship.cli.errors import CliError
from lightship.cli.output import column_widths, render, server_table, table
from lightship.cli.progress import Step, bar, seconds


class FakeClock:
    """Every look at it takes half a second."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        self.at += 0.5
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_a_table_lines_up_by_its_widest_cell() -> None:
    want_text = "NAME        READY   NOTE\na           true    <none>\nlong-name   false   x"
    assert table(["Name", "Ready", "Note"], [["a", True, None], ["long-name", False, "x"]]) == want_text


@pytest.mark.parametrize(
    ("wide", "namespaces", "want_heading"),
    [(False, False, "NAME   AGE"), (True, False, "NAME   AGE   NODE"), (False, True, "NAMESPACE   NAME   AGE")],
    ids=["default columns only", "wide shows all", "namespace first"],
)
def test_a_server_table_shows_its_columns_by_priority(wide: bool, namespaces: bool, want_heading: str) -> None:
    body = {
        "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Age", "priority": 0}, {"name": "Node", "priority": 1}],
        "rows": [{"cells": ["a", "3s", "n1"], "object": {"metadata": {"namespace": "default"}}}],
    }
    assert server_table(body, wide=wide, namespaces=namespaces).splitlines()[0] == want_heading


def test_json_and_yaml_say_the_same() -> None:
    value = {"a": [1, {"b": "ü"}]}
    assert render(value, "json") == '{\n  "a": [\n    1,\n    {\n      "b": "ü"\n    }\n  ]\n}'
    assert render(value, "yaml") == "a:\n- 1\n- b: ü"


@pytest.mark.parametrize(("value", "want"), [(0.0, "0 ms"), (0.84, "840 ms"), (2.44, "2.4 s"), (192, "3 min 12 s")])
def test_durations_read_well(value: float, want: str) -> None:
    assert seconds(value) == want


def test_a_bar_is_full_at_one_and_never_longer() -> None:
    assert bar(0, 4) == "░░░░"
    assert bar(0.5, 4) == "██░░"
    assert bar(7, 4) == "████"


def test_without_a_terminal_a_step_prints_each_note_once_and_its_time() -> None:
    stream = io.StringIO()
    with Step("train", stream=stream, clock=FakeClock()) as step:
        step.update(0.1, "epoch 1")
        step.update(0.2, "epoch 1")
        step.line("hello")
    assert stream.getvalue() == "  epoch 1\nhello\n✓ train  500 ms\n"
    assert step.took == 0.5


def test_a_failed_step_says_so() -> None:
    stream = io.StringIO()
    with pytest.raises(RuntimeError), Step("train", stream=stream, clock=FakeClock()):
        raise RuntimeError
    assert stream.getvalue().startswith("✗ train")


def test_manifests_unfold_documents_and_lists() -> None:
    text = "apiVersion: v1\nkind: A\n---\n---\napiVersion: v1\nkind: List\nitems: [{kind: B}, {kind: C}]\n"
    assert [m.obj["kind"] for m in manifests.parse(text, "f.yaml")] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("text", "want"),
    [("a: [1\nb: 2", r"f\.yaml, line 2 is not YAML"), ("- 1", r"f\.yaml: expected an object, found list"), ("7", "found int")],
    ids=["broken yaml", "a list", "a number"],
)
def test_what_is_no_object_is_refused_with_its_place(text: str, want: str) -> None:
    with pytest.raises(CliError, match=want):
        list(manifests.parse(text, "f.yaml"))


def test_a_missing_file_is_one_line() -> None:
    with pytest.raises(CliError, match=r"/nowhere/x\.yaml cannot be read: No such file or directory"):
        manifests.read(["/nowhere/x.yaml"])


def test_describe_hides_what_secrets_hold() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "aHVudGVyMg=="}}
    shown = describe.text(secret)
    assert "aHVudGVyMg" not in shown
    assert "password: 9 bytes" in shown


def test_later_lines_of_a_watch_stand_under_the_first() -> None:
    first = table(["Name", "Status Word", "Age"], [["a-long-name", "Running", "3s"]])
    widths = column_widths(first.splitlines()[0])
    assert widths == [11, 11, 3]
    assert table(["Name", "Status Word", "Age"], [["b", "Pending", "1s"]], widths).splitlines()[1] == "b             Pending       1s"
