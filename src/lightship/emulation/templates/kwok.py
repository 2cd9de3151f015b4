"""kwok's own template functions. Pure; what depends on time or place is given by whoever renders (`stages.rendering`).

Contract: kwok 0.8.0, pkg/utils/gotpl/funcs.go.
"""

import json
from collections.abc import Callable
from typing import Any

import yaml

from lightship import __version__
from lightship.emulation.defaults.nodes import WELL
from lightship.emulation.templates.values import compact

NODE_CONDITIONS = [
    {"type": type, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": None, "lastTransitionTime": None}
    for type, status, reason, message in WELL
]


def quote(value: Any) -> str:
    """A text in quotes, anything else as JSON in quotes."""
    if isinstance(value, str):
        return compact(value)
    return json.dumps(compact(value), ensure_ascii=False)


def to_yaml(value: Any, indent: int = 0) -> str:
    """YAML, indented by so many steps of two."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=2**31)
    if indent > 0:
        pad = " " * (indent * 2)
        text = ("\n" + text).replace("\n", "\n" + pad)
    return str(text)


class _Dumper(yaml.SafeDumper):
    """Without anchors: what is there twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


KWOK: dict[str, Callable[..., Any]] = {
    "NodeConditions": lambda: NODE_CONDITIONS,
    "Quote": quote,
    "Version": lambda: __version__,
    "YAML": to_yaml,
}
