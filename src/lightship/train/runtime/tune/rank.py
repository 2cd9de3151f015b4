"""One rank of a fine-tuning run: `python -m lightship.train.runtime.tune.rank` with the words of `tune`.

Started by `launch` or torchrun. Turns what is wrong with data or model into one line and exit status 1.
"""

import os
import sys

from . import command, fitting
from .errors import TuneError


def main() -> None:
    try:
        fitting.fit(command.parse(sys.argv[1:], os.environ).settings)
    except TuneError as error:
        print(f"tune: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
