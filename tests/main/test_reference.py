"""The command line's page in the docs is made from the commands, and is up to date."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_command_line_reference_is_up_to_date() -> None:
    code = "import sys; sys.path.insert(0, 'tools'); import make_cli_reference as m; sys.stdout.write(m.reference())"
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "cli.md").read_text() == made, "run: python tools/make_cli_reference.py"
