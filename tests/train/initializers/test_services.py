"""The hub, S3, GCS and Azure, with the packages that the image brings, in processes as pods run them; and upstream's tables.

`upstream.json` has the inputs and expectations of upstream's tests of its initializers (pkg/initializers, test/integration/initializers).
One differs: a model without IGNORE_PATTERNS leaves out what upstream's dataclass says; its own reading of the environment loses that.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from lightship.train.runtime.initializers import settings
from lightship.train.runtime.initializers.problems import MisuseError
from tests.train.initializers.servers import S3, Azure, Gcs, Hub
from tests.train.initializers.stage import contents, finish

UPSTREAM = json.loads((Path(__file__).parent / "upstream.json").read_text())
BIG = random.Random(5).randbytes(9_000_000)
KEYS = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
HUB = {
    "models/acme/small/config.json": b"{}",
    "models/acme/small/model.safetensors": BIG,
    "models/acme/small/model.bin": b"again",
    "datasets/acme/digits/data/train.csv": b"a,b\n" * 1000,
    "datasets/karpathy/tiny_shakespeare/tiny_shakespeare.py": b"import datasets",
    **{f"models/hf-internal-testing/tiny-random-bert/{name}": b"{}" for name in ("config.json", "tokenizer.json", "tokenizer_config.json")},
    "models/hf-internal-testing/tiny-random-bert/model.safetensors": b"weights",
}


@pytest.mark.parametrize("case", UPSTREAM["config"])
def test_variables(case: Any) -> None:
    found = settings.read(case["kind"], case["env"])
    assert found is not None
    want = dict(case["want"])
    assert found.uri == want.pop("storage_uri")
    assert list(found.ignore) == (want.pop("ignore_patterns") or [])
    assert {name: found.given(name.upper()) or None for name in want} == want


@pytest.mark.parametrize("kind", ["dataset", "model"])
@pytest.mark.parametrize("case", UPSTREAM["main"])
def test_schemes(kind: str, case: Any) -> None:
    """Those that are known; `test_refusals` of `test_web` has the words of the others."""
    environment = {"STORAGE_URI": case["uri"]} if case["uri"] else {}
    if case["error"] and not case["uri"]:
        with pytest.raises(MisuseError, match=r"STORAGE_URI env variable must be set\."):
            settings.read(kind, environment)
    else:
        found = settings.read(kind, environment)
        assert found is not None
        assert (found.scheme in ("hf", "s3")) is not case["error"]


# The hub


@pytest.mark.slow
@pytest.mark.parametrize("case", UPSTREAM["integration"], ids=lambda case: f"{case['kind']}-{case['uri']}-{case['token']}")
def test_upstreams_integration_cases(case: Any, tmp_path: Path) -> None:
    with Hub(HUB) as hub:
        hub.faults.token = "hf_good" if case["token"] else ""
        more = {"ACCESS_TOKEN": case["token"]} if case["token"] else {}
        code, output = finish(tmp_path, case["uri"], case["kind"], HF_ENDPOINT=hub.url, **more)
    if case["files"] is None:
        assert code == (77 if case["token"] else 66), output
    else:
        assert code == 0, output
        assert set(case["files"]) <= set(contents(tmp_path / case["kind"]))


@pytest.mark.slow
def test_a_model_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with Hub(HUB) as hub:
        hub.faults.cut["models/acme/small/model.safetensors"] = [3_000_000]
        hub.faults.token = "valid"
        hub.faults.spoil["models/acme/small/config.json"] = 1
        more = {"HF_ENDPOINT": hub.url, "ACCESS_TOKEN": "valid", "LIGHTSHIP_DOWNLOADS": str(tmp_path / "d")}
        code, output = finish(tmp_path / "w", "hf://acme/small@v1", "model", **more)
        assert code == 0, output
        assert contents(tmp_path / "w" / "model") == {"config.json": b"{}", "model.safetensors": BIG}
        wanted = [asked.path for asked in hub.asked if "/resolve/" in asked.path]
        assert all(f"/resolve/{hub.commit}/" in path for path in wanted), "all of one commit"
        code, output = finish(tmp_path / "v", "hf://acme/small", "model", ALLOW_PATTERNS="*", IGNORE_PATTERNS="", **more)
        assert code == 0, output
        assert set(contents(tmp_path / "v" / "model")) == {"config.json", "model.safetensors", "model.bin"}
        again = [asked.path for asked in hub.asked if "/resolve/" in asked.path][len(wanted) :]
        assert [path.rpartition("/")[2] for path in again] == ["model.bin"]
        code, output = finish(tmp_path / "u", "hf://acme/small@v2", "model", **more)
        assert (code, "there is no revision v2" in output) == (66, True), output


@pytest.mark.slow
def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    code, output = finish(tmp_path, "hf://acme/small", "model", HF_ENDPOINT="http://127.0.0.1:9")
    assert code == 69
    assert output.splitlines()[-1].startswith("model initializer: no answer from hf://acme/small at http://127.0.0.1:9: ")
    assert (tmp_path / "message").exists() is False
    assert "Traceback" not in output
    code, output = finish(tmp_path, "s3://bucket/a", ENDPOINT="http://127.0.0.1:9", **KEYS)
    assert (code, "Traceback" in output) == (69, False), output


# Object stores


@pytest.mark.slow
@pytest.mark.parametrize("case", UPSTREAM["download"], ids=lambda case: str(case["prefix"]))
def test_upstreams_downloads(case: Any, tmp_path: Path) -> None:
    files = {f"test-bucket/{name}": body.encode() for name, body in case["files"].items()}
    with S3(files) as s3:
        uri = f"s3://test-bucket/{case['prefix']}"
        code, output = finish(tmp_path, uri, ENDPOINT=s3.url, IGNORE_PATTERNS=",".join(case["ignore"]), **KEYS)
    assert code == 0, output
    want = {n: b.encode() for n, b in case["files"].items() if not any(n.endswith(pattern[1:]) for pattern in case["ignore"])}
    assert contents(tmp_path / "dataset") == {name.removeprefix(case["prefix"]): body for name, body in want.items()}


@pytest.mark.slow
@pytest.mark.parametrize("case", UPSTREAM["region"], ids=lambda case: str(case["want"]))
def test_s3(case: Any, tmp_path: Path) -> None:
    objects = {"b/set/big.bin": BIG, "b/set/deep/1.txt": b"one", "b/set/2.txt": b"two", "b/setting": b"other", "b/set/empty": b""}
    with S3(objects) as s3:
        s3.faults.cut["b/set/big.bin"] = [1_000_000, 0]
        s3.faults.spoil["b/set/2.txt"] = 1
        more = {"REGION": case["region"]} if case["region"] else {}
        code, output = finish(tmp_path, "s3://b/set", ENDPOINT=s3.url, **KEYS, **more)
        assert code == 0, output
        signed = s3.asked[0].headers["authorization"]
        assert f"Credential=key/{signed.split('/')[1]}/{case['want']}/s3/" in signed
    assert contents(tmp_path / "dataset") == {"big.bin": BIG, "deep/1.txt": b"one", "2.txt": b"two", "empty": b""}


@pytest.mark.slow
def test_a_role_is_assumed(tmp_path: Path) -> None:
    with S3({"b/one": b"1"}) as s3:
        more = {"ROLE_ARN": "arn:aws:iam::1:role/reader", "AWS_ENDPOINT_URL_STS": f"{s3.url}/sts"}
        code, output = finish(tmp_path, "s3://b/one", ENDPOINT=s3.url, **KEYS, **more)
        assert code == 0, output
        asked = s3.asked[0]
        assert (asked.query["Action"], asked.query["RoleArn"]) == ("AssumeRole", "arn:aws:iam::1:role/reader")
        assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
        assert s3.asked[-1].headers["x-amz-security-token"] == "role-token"
        (tmp_path / "token").write_text("identity\n")
        more |= {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
        count = len(s3.asked)
        code, output = finish(tmp_path / "v", "s3://b/one", ENDPOINT=s3.url, **more)
        assert code == 0, output
        assert s3.asked[count].query["WebIdentityToken"] == "identity"


@pytest.mark.slow
def test_s3_says_what_is_wrong(tmp_path: Path) -> None:
    with S3({"b/one": b"1"}) as s3:
        for uri, more, want, words in (
            ("s3://none/a", KEYS, 66, "there is no such bucket or object"),
            ("s3://b/none", KEYS, 66, "there is no such bucket or object"),
            ("s3://b/one", {"ACCESS_KEY_ID": "key"}, 64, "belong together"),
            ("s3:///one", KEYS, 64, "names no bucket"),
        ):
            code, output = finish(tmp_path, uri, ENDPOINT=s3.url, **more)
            assert (code, words in output) == (want, True), output
        s3.faults.token = "somebody else"
        code, output = finish(tmp_path, "s3://b/one", ENDPOINT=s3.url, **KEYS)
        assert (code, "not with these credentials" in output) == (77, True), output


@pytest.mark.slow
def test_google(tmp_path: Path) -> None:
    with Gcs({"b/set/big.bin": BIG, "b/set/1.txt": b"one"}) as gcs:
        gcs.faults.token = "Bearer mine"
        gcs.faults.cut["b/set/big.bin"] = [1_000_000]
        code, output = finish(tmp_path, "gs://b/set", ENDPOINT=gcs.url, ACCESS_TOKEN="mine")
        assert code == 0, output
        assert contents(tmp_path / "dataset") == {"big.bin": BIG, "1.txt": b"one"}
        code, output = finish(tmp_path, "gs://b/set", ENDPOINT=gcs.url, ACCESS_TOKEN="other")
        assert code == 77, output


@pytest.mark.slow
def test_azure(tmp_path: Path) -> None:
    with Azure({"acme/c/set/big.bin": BIG, "acme/c/set/1.txt": b"one"}) as azure:
        azure.faults.cut["acme/c/set/big.bin"] = [1_000_000]
        more = {"ENDPOINT": f"{azure.url}/acme", "ACCESS_KEY_ID": "acme", "SECRET_ACCESS_KEY": "c2VjcmV0"}
        for number, uri in enumerate(("azure://c/set", "az://c/set", "abfss://c@acme.dfs.core.windows.net/set")):
            code, output = finish(tmp_path / f"{number}", uri, **more)
            assert code == 0, output
            assert contents(tmp_path / f"{number}" / "dataset") == {"big.bin": BIG, "1.txt": b"one"}
        assert azure.asked[0].headers["authorization"].startswith("SharedKey acme:")
