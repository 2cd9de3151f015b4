"""Write docs/cli.md from the commands themselves: `python tools/make_cli_reference.py`. A test fails when the page is not up to date."""

import argparse
import importlib
import os
from pathlib import Path

from lightship.cli.command import Parser, overview
from lightship.main.commands import GROUPS

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"


def reference() -> str:
    """The whole page."""
    os.environ["COLUMNS"] = "100"
    lines = ["# Command line", "", "Made by `tools/make_cli_reference.py`; do not edit.", "", "```text", overview(GROUPS), "```"]
    for title, commands in GROUPS:
        lines += ["", f"## {title}"]
        for command in commands:
            module = importlib.import_module(command.module)
            parser = Parser(prog=f"lightship {command.name}", description=command.summary)
            module.arguments(parser)
            lines += ["", f"### lightship {command.name}", "", "```text", parser.format_help().rstrip(), "```"]
            lines += _verbs(parser)
    return "\n".join(lines) + "\n"


def _verbs(parser: argparse.ArgumentParser) -> list[str]:
    """The help of a command's own verbs (`lightship train list`)."""
    lines: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                lines += ["", f"#### {child.prog}", "", "```text", child.format_help().rstrip(), "```"]
    return lines


if __name__ == "__main__":
    PAGE.write_text(reference())
    print(f"wrote {PAGE.name}")
