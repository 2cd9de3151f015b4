"""Security settings of a pod and its container, merged, in the runtime's words."""

from pathlib import Path
from typing import Any

import pytest

from lightship.node.images.environments import Environment
from lightship.node.pods.security import ForbiddenError, security, sysctls
from lightship.node.runtimes import sysctls as known
from lightship.node.runtimes.runtime import Security


def merged(of_pod: dict[str, Any], own: dict[str, Any], user: str = "") -> Security:
    pod = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"securityContext": of_pod}}
    container = {"name": "main", "securityContext": own}
    return security(pod, container, Environment(name="e", path=[], user=user), Path("/data/seccomp"))


@pytest.mark.parametrize(
    ("of_pod", "own", "want"),
    [
        ({}, {}, Security()),
        ({"runAsUser": 1, "runAsGroup": 2}, {"runAsUser": 3}, Security(uid=3, gid=2)),
        ({"supplementalGroups": [5], "fsGroup": 6}, {}, Security(groups=[5, 6])),
        ({}, {"capabilities": {"add": ["NET_RAW"], "drop": ["ALL"]}}, Security(add_capabilities=["NET_RAW"], drop_capabilities=["ALL"])),
        ({}, {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}, Security(allow_escalation=False, read_only_root=True)),
        ({}, {"privileged": True, "procMount": "Unmasked"}, Security(privileged=True, unmasked_proc=True)),
        ({"seccompProfile": {"type": "Unconfined"}}, {}, Security(seccomp="Unconfined")),
        (
            {"seccompProfile": {"type": "Unconfined"}},
            {"seccompProfile": {"type": "Localhost", "localhostProfile": "a/b.json"}},
            Security(seccomp="/data/seccomp/a/b.json"),
        ),
    ],
)
def test_containers_come_before_pods(of_pod: dict[str, Any], own: dict[str, Any], want: Security) -> None:
    assert merged(of_pod, own) == want


def test_images_name_users_where_pods_do_not() -> None:
    assert merged({}, {}, "101:102") == Security(uid=101, gid=102)
    assert merged({"runAsUser": 5}, {}, "101:102") == Security(uid=5)


@pytest.mark.parametrize(
    ("own", "user", "want"),
    [
        ({"runAsUser": 0}, "5", "container's runAsUser breaks non-root policy"),
        ({}, "", "container has runAsNonRoot and image will run as root"),
    ],
)
def test_root_is_refused_where_it_must_not_be(own: dict[str, Any], user: str, want: str) -> None:
    with pytest.raises(ForbiddenError) as caught:
        merged({"runAsNonRoot": True}, own, user)
    assert str(caught.value) == want + ' (pod: "p_ns(u)", container: main)'
    assert merged({"runAsNonRoot": True}, {"runAsNonRoot": False}) == Security()
    assert merged({"runAsNonRoot": True}, {}, "5").uid == 5


def test_settings_of_the_kernel() -> None:
    pod = {"spec": {"securityContext": {"sysctls": [{"name": "kernel/shm_rmid_forced", "value": "1"}]}}}
    assert sysctls(pod) == {"kernel.shm_rmid_forced": "1"}
    assert not known.forbidden(["kernel/shm_rmid_forced", "net.ipv4.tcp_rmem"])
    assert known.forbidden(["net.ipv4.tcp_rmem", "kernel.msgmax"]) == "kernel.msgmax"
    assert not known.own("kernel.core_pattern")
