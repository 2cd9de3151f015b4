"""Parts that are equal become one, and nobody can tell but by the memory."""

import copy
from typing import Any

from lightship.store.sharing import LONGEST, Sharer


def pod(name: str, volume: str) -> dict[str, Any]:
    mount = {"name": volume, "mountPath": "/var/run"}
    container = {"name": "c", "env": [{"name": "A", "value": "1"}], "volumeMounts": [{"name": "data", "mountPath": "/data"}, mount]}
    return {"metadata": {"name": name, "labels": {"app": "a"}}, "spec": {"containers": [container], "nodeSelector": {}}}


def test_equal_parts_become_one_and_objects_stay_equal() -> None:
    sharer = Sharer()
    one, two = pod("one", "v1"), pod("two", "v2")
    before = copy.deepcopy((one, two))
    sharer.share(one)
    sharer.share(two)
    assert (one, two) == before
    first, second = one["spec"]["containers"][0], two["spec"]["containers"][0]
    assert first is not second
    assert first["env"] is second["env"]
    assert first["volumeMounts"][0] is second["volumeMounts"][0]
    assert first["volumeMounts"][1] is not second["volumeMounts"][1]
    assert one["metadata"]["labels"] is two["metadata"]["labels"]


def test_values_that_only_python_calls_equal_stay_apart() -> None:
    sharer = Sharer()
    objs: list[dict[str, Any]] = [{"spec": {"a": {"x": value}}} for value in (1, True, 1.0)]
    for obj in objs:
        sharer.share(obj)
    assert [type(obj["spec"]["a"]["x"]) for obj in objs] == [int, bool, float]


def test_order_is_kept() -> None:
    sharer = Sharer()
    one, two = {"spec": {"m": {"a": 1, "b": 2}}}, {"spec": {"m": {"b": 2, "a": 1}}}
    sharer.share(one)
    sharer.share(two)
    assert [list(obj["spec"]["m"]) for obj in (one, two)] == [["a", "b"], ["b", "a"]]


def test_long_parts_are_not_remembered() -> None:
    sharer = Sharer()
    one, two = ({"data": {"text": ["x" * LONGEST]}} for _ in range(2))
    sharer.share(one)
    sharer.share(two)
    assert one["data"]["text"] is not two["data"]["text"]
