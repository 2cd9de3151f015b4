"""Environment, command and arguments as the kubelet resolves them."""

import base64
import os
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.inputs import downward, env
from lightship.node.inputs.env import Surroundings
from lightship.node.inputs.sources import Found, MissingError, Ref, of_container

from .make import UID, container, pod

CONFIG = {"data": {"color": "blue", "size": "9"}, "binaryData": {"bin": base64.b64encode(b"raw").decode()}}
SECRET = {"data": {"password": base64.b64encode(b"s3cret").decode()}}
FOUND: Found = {Ref("ConfigMap", "cm"): CONFIG, Ref("Secret", "sec"): SECRET}


def resolve(found: Found = FOUND, services: list[Obj] | None = None, host: Obj | None = None, **spec: Any) -> env.Command:
    meta = {"labels": {"app": "x", "tier": 'q"t'}, "annotations": {"note/y": "z"}}
    return env.resolve(
        container(**spec),
        Surroundings(
            pod=host or pod(meta=meta, serviceAccountName="robot", enableServiceLinks=bool(services)),
            found=found,
            services=services or [],
            api_host="10.96.0.1",
            api_port=443,
            host_ip="192.0.2.1",
            pod_ip="10.244.0.9",
            allocatable={"cpu": "8", "memory": "16Gi"},
        ),
    )


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$", "$"),
        ("$(MISSING)", "$(MISSING)"),
        ("$(A", "$(A"),
        ("$A ${A}", "$A ${A}"),
        ("$()", "$()"),
        ("50$", "50$"),
        ("$(A$(B))", "$(A$(B))"),
        ("$(A$(B)", "$(A$(B)"),
        ("$(R)", "$(A)"),
        ("%%$(R)--$(R)%%", "%%$(A)--$(A)%%"),
        ("foo$(E)bar", "foobar"),
        ("foo$(Awhoops!", "foo$(Awhoops!"),
        ("f00__(A)__", "f00__(A)__"),
        ("$?_boo_$!", "$?_boo_$!"),
        ("$$$$$$(NONE)", "$$$(NONE)"),
        ("$$$$$$(A)", "$$$(A)"),
        ("$$$$$$$(NONE)", "$$$$(NONE)"),
        ("$$$$$$$(A)", "$$$1"),
        ("$A)", "$A)"),
        ("$(B)_______$(A", "2_______$(A"),
        ("$(B)_______$(", "2_______$("),
        ("foo\\\\$(A)bar", "foo\\\\1bar"),
        ("--$($($($($--", "--$($($($($--"),
        ("$($($($($--foo$(", "$($($($($--foo$("),
        ("$(foo$$var)", "$(foo$$var)"),
        ("\n", "\n"),
        ("$(A\nB)", "$(A\nB)"),
        ("prefix-$€-suffix", "prefix-$€-suffix"),
        ("$中文", "$中文"),
    ],
)
def test_expansion(text: str, want: str) -> None:
    assert env.expand(text, {"A": "1", "B": "2", "R": "$(A)", "E": ""}) == want


def test_variables_see_those_before_them_only() -> None:
    made = resolve(env=[{"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}, {"name": "C", "value": "$(B)$(A)"}])
    assert {k: made.env[k] for k in "ABC"} == {"A": "$(B)", "B": "b", "C": "b$(B)"}


def test_command_and_args_are_expanded_with_everything() -> None:
    made = resolve(
        command=["sh", "$(A)"],
        args=["--x=$(color)", "$$(A)"],
        env=[{"name": "A", "value": "1"}],
        envFrom=[{"configMapRef": {"name": "cm"}}],
    )
    assert (made.command, made.args) == (["sh", "1"], ["--x=blue", "$(A)"])


def test_env_from_with_prefix_then_env_wins() -> None:
    sources = [
        {"configMapRef": {"name": "cm"}},
        {"prefix": "S_", "secretRef": {"name": "sec"}},
        {"configMapRef": {"name": "no", "optional": True}},
    ]
    made = resolve(envFrom=sources, env=[{"name": "size", "value": "10"}]).env
    assert made["color"] == "blue"
    assert "bin" not in made, "binary data is for files only"
    assert made["S_password"] == "s3cret"
    assert made["size"] == "10"


@pytest.mark.parametrize(
    ("value_from", "want"),
    [
        ({"configMapKeyRef": {"name": "cm", "key": "color"}}, "blue"),
        ({"secretKeyRef": {"name": "sec", "key": "password"}}, "s3cret"),
        ({"fieldRef": {"fieldPath": "metadata.name"}}, "p"),
        ({"fieldRef": {"fieldPath": "metadata.namespace"}}, "default"),
        ({"fieldRef": {"fieldPath": "metadata.uid"}}, UID),
        ({"fieldRef": {"fieldPath": "metadata.labels['app']"}}, "x"),
        ({"fieldRef": {"fieldPath": "metadata.labels['none']"}}, ""),
        ({"fieldRef": {"fieldPath": "metadata.annotations['note/y']"}}, "z"),
        ({"fieldRef": {"fieldPath": "metadata.labels"}}, 'app="x"\ntier="q\\"t"'),
        ({"fieldRef": {"fieldPath": "spec.nodeName"}}, "n1"),
        ({"fieldRef": {"fieldPath": "spec.serviceAccountName"}}, "robot"),
        ({"fieldRef": {"fieldPath": "status.hostIP"}}, "192.0.2.1"),
        ({"fieldRef": {"fieldPath": "status.podIP"}}, "10.244.0.9"),
        ({"fieldRef": {"fieldPath": "status.podIPs"}}, "10.244.0.9"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "2"),
        ({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}, "1500"),
        ({"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}}, "64"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Gi"}}, "16"),
        ({"resourceFieldRef": {"resource": "requests.cpu"}}, "0"),
    ],
)
def test_value_from(value_from: Obj, want: str) -> None:
    resources = {"limits": {"cpu": "1500m"}, "requests": {"memory": "64Mi"}}
    host = pod(
        container(resources=resources),
        meta={"labels": {"app": "x", "tier": 'q"t'}, "annotations": {"note/y": "z"}},
        serviceAccountName="robot",
    )
    assert resolve(host=host, env=[{"name": "X", "valueFrom": value_from}]).env["X"] == want


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "k"}}}]}, 'configmap "no" not found'),
        ({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}]}, 'secret "no" not found'),
        (
            {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}]},
            "couldn't find key k in ConfigMap default/cm",
        ),
        ({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "k"}}}]}, "couldn't find key k in Secret default/sec"),
        ({"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.color"}}}]}, "unsupported fieldPath: spec.color"),
        ({"envFrom": [{"configMapRef": {"name": "no"}}]}, 'configmap "no" not found'),
        ({"envFrom": [{"secretRef": {"name": "no"}}]}, 'secret "no" not found'),
    ],
)
def test_what_is_missing_is_said_as_the_kubelet_says_it(spec: Obj, want: str) -> None:
    with pytest.raises(MissingError, match=f"^{want}$"):
        resolve(**spec)


def test_optional_references_leave_the_variable_out() -> None:
    optional = [
        {"configMapKeyRef": {"name": "no", "key": "k", "optional": True}},
        {"secretKeyRef": {"name": "sec", "key": "k", "optional": True}},
    ]
    made = resolve(env=[{"name": f"X{i}", "valueFrom": source} for i, source in enumerate(optional)])
    assert not {"X0", "X1"} & set(made.env)


def test_references_of_a_container() -> None:
    spec = container(
        envFrom=[{"secretRef": {"name": "s1"}}],
        env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c1", "key": "k"}}}, {"name": "B", "value": "x"}],
    )
    assert list(of_container(spec)) == [Ref("Secret", "s1"), Ref("ConfigMap", "c1")]


def test_service_links() -> None:
    web = {
        "metadata": {"name": "my-web"},
        "spec": {"clusterIP": "10.96.0.20", "ports": [{"name": "http", "port": 80}, {"port": 53, "protocol": "UDP"}]},
    }
    headless = {"metadata": {"name": "group"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}}
    made = resolve(services=[web, headless], env=[{"name": "URL", "value": "http://$(MY_WEB_SERVICE_HOST)"}]).env
    assert made["URL"] == "http://10.96.0.20"
    assert made["MY_WEB_SERVICE_PORT"] == made["MY_WEB_SERVICE_PORT_HTTP"] == "80"
    assert made["MY_WEB_PORT"] == "tcp://10.96.0.20:80"
    assert made["MY_WEB_PORT_53_UDP"] == "udp://10.96.0.20:53"
    assert made["MY_WEB_PORT_80_TCP_ADDR"] == "10.96.0.20"
    assert not any(name.startswith("GROUP") for name in made)
    assert (made["KUBERNETES_SERVICE_HOST"], made["KUBERNETES_SERVICE_PORT"]) == ("10.96.0.1", "443")


def test_only_the_api_is_announced_without_service_links() -> None:
    assert {name.split("_")[0] for name in resolve().env} == {"KUBERNETES"}


MIXED = {
    "requests": {"cpu": "100m", "memory": "640Mi", "ephemeral-storage": "1Gi", "hugepages-2Mi": "4Mi"},
    "limits": {"cpu": "250m", "memory": "1Gi", "hugepages-2Mi": "4Mi"},
}


@pytest.mark.parametrize(
    ("resource", "divisor", "want"),
    [
        ("limits.cpu", None, "1"),
        ("limits.cpu", "1m", "250"),
        ("limits.cpu", "100m", "3"),
        ("requests.cpu", "1m", "100"),
        ("requests.memory", "1Mi", "640"),
        ("limits.memory", "1M", "1074"),
        ("limits.memory", "0", "1073741824"),
        ("requests.ephemeral-storage", "1Mi", "1024"),
        ("limits.ephemeral-storage", "1Gi", "50"),
        ("limits.hugepages-2Mi", "2Mi", "2"),
        ("requests.hugepages-1Gi", None, "0"),
        ("limits.hugepages-1Gi", None, "0"),
    ],
)
def test_resources_are_rounded_up_in_units_of_the_divisor(resource: str, divisor: str | None, want: str) -> None:
    selector = {"resource": resource, **({"divisor": divisor} if divisor else {})}
    made = downward.resource(pod(container(resources=MIXED)), "main", selector, {"cpu": "8", "memory": "16Gi", "ephemeral-storage": "50Gi"})
    assert made == want


@pytest.mark.parametrize("resource", ["limits.pods", "cpu", "limits.", "hugepages-2Mi", "limits.nvidia.com/gpu"])
def test_resources_that_are_not_offered(resource: str) -> None:
    with pytest.raises(ValueError, match=f"unsupported container resource : {resource}"):
        downward.resource(pod(), "main", {"resource": resource}, {})


def test_limits_of_the_whole_pod_stand_for_those_of_a_container() -> None:
    selector = {"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}
    host = pod(resources={"limits": {"cpu": "1500m", "memory": "0"}})
    assert resolve(host=host, env=[selector]).env["X"] == "1500"
    assert resolve(env=[selector]).env["X"] == "8000"
    assert resolve(host=pod(container(resources={"limits": {"cpu": "2"}})), env=[selector]).env["X"] == "2000"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("plain", "plain"),
        ('q"t', 'q\\"t'),
        ("a\nb\\", "a\\nb\\\\"),
        ("\x00\x7f\v", "\\x00\\x7f\\v"),
        ("中 é", "中 é"),
        ("\u200b", "\\u200b"),
    ],
)
def test_labels_in_files_are_quoted_as_go_quotes(text: str, want: str) -> None:
    assert downward.format_map({"k": text}) == f'k="{want}"'


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("metadata.annotations['Www.k8s.io/test']", "1"),
        ("metadata.annotations['gone']", ""),
        ("metadata.labels['a']", "x"),
    ],
)
def test_fields_by_subscript(path: str, want: str) -> None:
    obj = pod(meta={"annotations": {"Www.k8s.io/test": "1"}, "labels": {"a": "x"}})
    assert downward.field(obj, path, host_ip="", pod_ip="") == want


def test_fields_without_subscripts() -> None:
    with pytest.raises(ValueError, match="does not support subscript"):
        downward.field(pod(), "metadata.finalizers['x']", host_ip="", pod_ip="")


def test_bytes_that_are_no_text_pass_through_and_zeros_are_refused() -> None:
    def found(value: bytes) -> Found:
        return {Ref("Secret", "s"): {"data": {"k": base64.b64encode(value).decode()}}}

    made = resolve(found=found(b"\xff\xfe"), envFrom=[{"secretRef": {"name": "s"}}])
    assert os.fsencode(made.env["k"]) == b"\xff\xfe"
    with pytest.raises(MissingError, match="zero byte"):
        resolve(found=found(b"a\0b"), envFrom=[{"secretRef": {"name": "s"}}])


@pytest.mark.parametrize("optional", [False, True])
def test_variables_from_files(optional: bool) -> None:
    files = {("v", "dir/env"): "A='1'\nB='two\nlines'\n"}
    host = pod(volumes=[{"name": "v", "emptyDir": {}}])

    def made(key: str, volume: str = "v") -> env.Command:
        source = {"volumeName": volume, "path": "dir/env", "key": key, "optional": optional}
        spec = container(env=[{"name": "X", "valueFrom": {"fileKeyRef": source}}])
        around = Surroundings(
            pod=host,
            found={},
            services=[],
            api_host="",
            api_port=0,
            host_ip="",
            pod_ip="",
            allocatable={},
            file=lambda volume, path: files[volume, path],
        )
        return env.resolve(spec, around)

    assert made("B").env["X"] == "two\nlines"
    if optional:
        assert "X" not in made("C").env
    else:
        with pytest.raises(MissingError, match='environment variable key "C" not found in file "dir/env"'):
            made("C")
    with pytest.raises(MissingError, match='cannot find the volume "w" referenced by FileKeyRef'):
        made("A", "w")
