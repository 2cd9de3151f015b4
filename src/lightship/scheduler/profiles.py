"""How nodes are compared for pods of each scheduler name, as a scheduler configuration says it.

`read` is called by `main` with the file that `up --scheduler-config` names; `Planner` asks the profile of a pod's `schedulerName`. Pure.
Understood are names, scorers with their weights, and their arguments; filters cannot be taken away. What only concerns how kube-scheduler
runs (leader election, its connection, parallelism) is read and left alone. Everything else is refused.
Contract: kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration; kube-scheduler's default weights.
"""

from collections.abc import Mapping
from typing import NamedTuple

from lightship.meta.objects import Obj
from lightship.scheduler import scores
from lightship.scheduler.scorers import MAKERS
from lightship.scheduler.scores import Scorer, Weights

API_VERSION, KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"
DEFAULT_NAME = "default-scheduler"
_COMPARED = {
    "NodeAffinity": "affinity",
    "TaintToleration": "taints",
    "PodTopologySpread": "crowding",
    "InterPodAffinity": "liking",
    "DynamicResources": "claims",
    "ImageLocality": "images",
}
"""Scorers that are no functions of one node, by the field of `Weights`."""
_ONLY_SCORES = {"ImageLocality", "NodeResourcesBalancedAllocation", "NodePrice"}
_IGNORED = {
    *("apiVersion", "kind", "profiles", "parallelism", "leaderElection", "clientConnection", "percentageOfNodesToScore"),
    *("podInitialBackoffSeconds", "podMaxBackoffSeconds", "enableProfiling", "enableContentionProfiling", "healthzBindAddress"),
    *("metricsBindAddress", "delayCacheUntilActive"),
}


class Profile(NamedTuple):
    """What is compared, for pods that name this scheduler."""

    name: str = DEFAULT_NAME
    scorers: tuple[Scorer, ...] = scores.LOCAL
    weights: Weights = Weights()


class ConfigurationError(ValueError):
    """What a configuration says that is not understood, and where."""


DEFAULTS: Mapping[str, Profile] = {DEFAULT_NAME: Profile()}


def read(document: Obj) -> dict[str, Profile]:
    """The profiles of a configuration, by name. Raises `ConfigurationError`."""
    if (document.get("apiVersion"), document.get("kind")) != (API_VERSION, KIND):
        given_kind = " ".join(filter(None, (document.get("apiVersion"), document.get("kind")))) or "no object with apiVersion and kind"
        raise ConfigurationError(f"this is {given_kind}; {API_VERSION} {KIND} was expected")
    if unknown := document.keys() - _IGNORED:
        raise ConfigurationError(f"{', '.join(sorted(unknown))}: not understood; profiles are")
    found: dict[str, Profile] = {}
    for number, given in enumerate(document.get("profiles") or [{}]):
        profile = _profile(f"profiles[{number}]", given)
        if profile.name in found:
            raise ConfigurationError(f'profiles[{number}].schedulerName: "{profile.name}" has a profile already')
        found[profile.name] = profile
    return found


def _profile(path: str, given: Obj) -> Profile:
    if unknown := given.keys() - {"schedulerName", "plugins", "pluginConfig", "percentageOfNodesToScore"}:
        raise ConfigurationError(f"{path}: {', '.join(sorted(unknown))}: not understood")
    weights = _weights(f"{path}.plugins", given.get("plugins") or {})
    args = _arguments(f"{path}.pluginConfig", given.get("pluginConfig") or [])
    scorers: list[Scorer] = []
    for name, (_, make) in MAKERS.items():
        try:
            prepare = make(args.get(name) or {})
        except ValueError as error:
            raise ConfigurationError(f"{path}.pluginConfig, {name}: {error}") from error
        if weights[name]:
            scorers.append(Scorer(weights[name], prepare))
    compared = Weights(**{field: weights[name] for name, field in _COMPARED.items()})
    return Profile(given.get("schedulerName") or DEFAULT_NAME, tuple(scorers), compared)


def _weights(path: str, plugins: Obj) -> dict[str, int]:
    """The weight of each scorer; 0: it is not asked."""
    usual = {name: weight for name, (weight, _) in MAKERS.items()} | {n: getattr(Weights(), field) for n, field in _COMPARED.items()}
    found = dict(usual)
    for point, changes in plugins.items():
        if point not in ("score", "multiPoint"):
            if any((changes or {}).values()):
                raise ConfigurationError(f"{path}.{point}: only scorers can be chosen (score, multiPoint)")
            continue
        for plugin in changes.get("disabled") or ():
            name = plugin.get("name")
            if point == "multiPoint" and name not in _ONLY_SCORES:
                raise ConfigurationError(f"{path}.multiPoint.disabled: {name} does more than score; disable it under score")
            found |= dict.fromkeys(found, 0) if name == "*" else {_known(path, name, usual): 0}
        for plugin in changes.get("enabled") or ():
            name = _known(path, plugin.get("name"), usual)
            weight = plugin.get("weight") or usual[name] or 1
            if not isinstance(weight, int) or not 0 < weight <= 2**31 - 1:
                raise ConfigurationError(f"{path}.{point}.enabled: {name}: a weight must be a positive number")
            found[name] = weight
    return found


def _known(path: str, name: object, known: Mapping[str, int]) -> str:
    if not isinstance(name, str) or name not in known:
        raise ConfigurationError(f"{path}: there is no scorer {name!r}; there are {', '.join(sorted(known))}")
    return name


def _arguments(path: str, configs: list[Obj]) -> dict[str, Obj]:
    found: dict[str, Obj] = {}
    for number, config in enumerate(configs):
        name = config.get("name")
        if name not in MAKERS:
            raise ConfigurationError(f"{path}[{number}]: there are no arguments for {name!r}; there are for {', '.join(sorted(MAKERS))}")
        if name in found:
            raise ConfigurationError(f"{path}[{number}]: {name} is configured twice")
        found[str(name)] = config.get("args") or {}
    return found
