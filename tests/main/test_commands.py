"""The command line's door: help, misspellings, one-line errors, and what it costs to start."""

import importlib
import subprocess
import sys

import pytest

from lightship.cli.errors import CliError
from lightship.main.commands import GROUPS, main

COMMANDS = [command for _, commands in GROUPS for command in commands]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {command.name} " in shown and command.summary in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_every_command_has_a_module_with_its_two_functions(command: object) -> None:
    module = importlib.import_module(command.module)  # type: ignore[attr-defined]
    assert callable(module.arguments)
    assert callable(module.run)


def test_a_misspelled_command_gets_a_hint() -> None:
    with pytest.raises(CliError, match='no command "stauts"') as caught:
        main(["stauts"])
    assert caught.value.hint == "did you mean `lightship status`?"
    assert caught.value.code == 2


def test_bad_options_are_one_line_and_one_hint() -> None:
    done = subprocess.run([sys.executable, "-m", "lightship", "status", "--nope"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "lightship: unrecognized arguments: --nope\n  hint: lightship status --help\n"


def test_help_imports_nothing_heavy() -> None:
    """What keeps `--help` within 0.15 s of CPU is what it does not import."""
    probe = "import sys; from lightship.main.commands import main; main([]); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncio", "ssl", "msgspec", "yaml", "uvloop", "cryptography"} & set(modules)
