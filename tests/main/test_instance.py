"""Instances: where a platform lives, who holds it, which port it takes."""

import os
import socket
from pathlib import Path

import pytest

from lightship.cli.errors import CliError
from lightship.main.instance import Instance, Running, choose_port


def running(**changes: object) -> Running:
    fields = {"pid": os.getpid(), "api": "https://127.0.0.1:1", "kubeconfig": "k", "data_dir": "d", "started": 1.0, **changes}
    return Running(**fields)  # type: ignore[arg-type]  # the test's own table of fields


def test_instances_live_below_the_home_and_data_dir_overrides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIGHTSHIP_HOME", str(tmp_path))
    assert Instance("a").data_dir == tmp_path / "a"
    assert Instance("a", str(tmp_path / "elsewhere")).data_dir == tmp_path / "elsewhere"


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", ".."])
def test_names_that_would_leave_the_home_are_refused(name: str) -> None:
    with pytest.raises(CliError, match="no name for a platform"):
        Instance(name)


def test_an_announcement_counts_only_while_its_process_holds_the_directory(tmp_path: Path) -> None:
    instance = Instance("a", str(tmp_path))
    instance.announce(running())
    assert instance.running() is None, "nobody holds the directory: the announcement is left over from a kill -9"
    descriptor = instance.lock()
    assert instance.running() == running()
    os.close(descriptor)
    assert instance.running() is None


def test_a_second_holder_is_told_who_is_first(tmp_path: Path) -> None:
    instance = Instance("a", str(tmp_path))
    descriptor = instance.lock()
    instance.announce(running(pid=4711))
    with pytest.raises(CliError, match=r"in use by process 4711") as caught:
        instance.lock()
    assert "lightship down --name a" in caught.value.hint
    os.close(descriptor)


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CliError, match="cannot be made: Not a directory") as caught:
        Instance("a", str(tmp_path / "file" / "below")).prepare()
    assert "--data-dir" in caught.value.hint


def test_the_port_of_last_time_is_kept_while_it_is_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        assert choose_port(0, port) == 0, "taken: any free one"
    assert choose_port(0, port) == port
    assert choose_port(7, port) == 7, "the one asked for wins"
    assert choose_port(0, 0) == 0
