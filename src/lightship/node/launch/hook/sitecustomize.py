"""Where a template's interpreter is caught: the last moment of its start, with nothing of a program on its stack.

Only `launch.nursery` puts this folder on an interpreter's path, for one import. When it returns, in a child, the interpreter goes on as
every interpreter does, and ends as every interpreter does.
"""

import os
import sys

_STARTED = frozenset(sys.modules) - {"sitecustomize"}

import importlib  # noqa: E402  # one more than a bare interpreter has

_FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if path != _FOLDER]
sys.path.append(os.path.dirname(os.path.dirname(_FOLDER)))

# Not as a part of `lightship`, which the environment need not have.
importlib.import_module("launch.template").main(_STARTED)
