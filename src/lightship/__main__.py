"""The `lightship` command: hands the words to `main.commands`, turns refusals into one line and a hint.

Called by the console script and `python -m lightship`. Imports as little as it can: help must feel instant.
"""

import os
import sys

from lightship.cli.errors import CliError


def run() -> int:
    """Run the command line; returns the exit status."""
    try:
        from lightship.main.commands import main

        return main(sys.argv[1:])
    except CliError as error:
        if os.environ.get("LIGHTSHIP_DEBUG"):
            raise
        print(error.text(), file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has left; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(run())
