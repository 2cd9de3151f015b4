"""Templates of Stages: parsed once, rendered for an object into JSON. Called by `stage`; pure but for what the surroundings give.

Contract: kwok 0.8.0, pkg/utils/gotpl: the text is YAML, in which `yes` and `on` are true as in YAML 1.1, and dates are texts.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import yaml

from lightship.emulation.play import StageError, Surroundings
from lightship.emulation.templates import Template, TemplateError, moments, parse
from lightship.emulation.templates.builtins import BUILTINS
from lightship.emulation.templates.kwok import KWOK
from lightship.emulation.templates.sprig import SPRIG
from lightship.meta.objects import Obj

STATIC: dict[str, Callable[..., Any]] = {**SPRIG, **BUILTINS, **KWOK}
_OF_PLACE = ("StartTime", "NodeIP", "NodeName", "NodePort", "NodeIPWith", "NodeIPsWith", "PodIP", "PodIPWith", "PodIPsWith")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Go reads it: what looks like a date is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _unknown(*_: Any) -> Any:
    raise TemplateError("this function belongs to nodes and pods only")


_NAMES: dict[str, Callable[..., Any]] = {
    **STATIC,
    **dict.fromkeys(_OF_PLACE, _unknown),
    **moments.functions(0.0, Random(0)),
}
"""Every function that there is, for those who only want to know its name."""


def template(text: str) -> Template:
    """Raises `StageError`."""
    try:
        return parse(text.strip(), _NAMES)
    except TemplateError as error:
        raise StageError(f"a template cannot be used: {error}") from error


def render(parsed: Template, obj: Obj, functions: Mapping[str, Callable[..., Any]]) -> Any:
    """What the template says of an object, as JSON data. Raises `StageError`."""
    try:
        text = parsed.render(obj, functions)
        return yaml.load(text, Loader=_Loader)
    except TemplateError as error:
        raise StageError(f"a template cannot be rendered: {error}") from error
    except yaml.YAMLError as error:
        raise StageError(f"what a template gives is no YAML: {error}\n{text}") from error


def functions(around: Surroundings, random: Random) -> dict[str, Callable[..., Any]]:
    """For the templates of one stage that is entered now."""

    def host(node: str) -> str:
        return next(iter(around.host_addresses(node)), "")

    def hosts(node: str) -> list[str]:
        return list(around.host_addresses(node))

    def pod(node: str, on_host: bool, *_: Any) -> str:
        return host(node) if on_host else next(iter(around.pod_addresses(node)), "")

    def pods(node: str, on_host: bool, *_: Any) -> list[str]:
        return hosts(node) if on_host else list(around.pod_addresses(node))

    started = moments.nano(around.started)
    return {
        **STATIC,
        **moments.functions(around.now, random),
        "NodeIP": lambda: "",
        "NodeIPWith": host,
        "NodeIPsWith": hosts,
        "NodeName": lambda: "",
        "NodePort": lambda: 0,
        "PodIP": lambda: "",
        "PodIPWith": pod,
        "PodIPsWith": pods,
        "StartTime": lambda: started,
    }
