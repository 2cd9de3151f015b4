"""https:// and http://, file://, and what the program says of failures: in this process, against a server of our own."""

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lightship.train.runtime.initializers import program
from lightship.train.runtime.initializers.problems import DamagedError, MissingError, MisuseError, RefusedError, UnreachableError
from tests.train.initializers.servers import Web
from tests.train.initializers.stage import contents, run

BODY = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def web() -> Iterator[Web]:
    with Web({"data/train.csv": BODY, "data/empty": b""}) as server:
        yield server


def test_a_file_by_its_url(web: Web, tmp_path: Path) -> None:
    lines = run(tmp_path, f"{web.url}/data/train.csv?signature=secret")
    assert contents(tmp_path / "dataset") == {"train.csv": BODY}
    assert lines[0] == f"fetching {web.url}/data/train.csv to {tmp_path}/dataset", "signatures are not printed"
    assert lines[-1].startswith("1 file, 500.0 KiB fetched, in ")
    run(tmp_path / "other", f"{web.url}/data/empty")
    assert contents(tmp_path / "other" / "dataset") == {"empty": b""}


def test_interruptions_and_busy_servers_are_waited_out(web: Web, tmp_path: Path) -> None:
    web.faults.cut["data/train.csv"] = [100_000, 0, 200_000]
    web.faults.busy = 0
    run(tmp_path, f"{web.url}/data/train.csv")
    assert contents(tmp_path / "dataset") == {"train.csv": BODY}
    starts = [asked.range.removeprefix("bytes=").partition("-")[0] for asked in web.asked]
    assert starts == ["0", "0", "100000", "100000", "300000"]
    web.faults.busy = 3
    with pytest.raises(UnreachableError, match=r"cannot answer now \(HTTP 503\)"):
        run(tmp_path / "other", f"{web.url}/data/train.csv")


def test_without_ranges_or_etags_it_comes_whole(web: Web, tmp_path: Path) -> None:
    web.faults.ranges = False
    run(tmp_path, f"{web.url}/data/train.csv")
    assert contents(tmp_path / "dataset") == {"train.csv": BODY}


def test_a_file_that_changes_meanwhile_is_fetched_as_it_is_then(web: Web, tmp_path: Path) -> None:
    turn = threading.Lock()

    class Changing(Web):
        def object(self, name: str, *arguments: object, **more: object) -> None:
            with turn:  # who asks again at once is not served before it has changed
                super().object(name, *arguments, **more)  # type: ignore[arg-type]
                self.objects[name] = b"new" * 1000

    with Changing({"a": BODY}) as changing:
        lines = run(tmp_path, f"{changing.url}/a")
    assert contents(tmp_path / "dataset") == {"a": b"new" * 1000}
    assert any("has changed since it was listed" in line for line in lines)


def test_digests_in_the_uri_are_compared(web: Web, tmp_path: Path) -> None:
    run(tmp_path, f"{web.url}/data/train.csv#sha256={hashlib.sha256(BODY).hexdigest()}")
    assert contents(tmp_path / "dataset") == {"train.csv": BODY}
    web.faults.spoil["data/train.csv"] = 1
    with pytest.raises(DamagedError, match="never were its bytes those that the source promises"):
        run(tmp_path / "other", f"{web.url}/data/train.csv#sha256={'0' * 64}")
    with pytest.raises(MisuseError, match="is no digest"):
        run(tmp_path / "other", f"{web.url}/data/train.csv#sha256=123")


def test_redirects_take_no_token_along(web: Web, tmp_path: Path) -> None:
    web.faults.token = "mine"
    with Web({"there.bin": BODY}) as other:
        web.moved["/here"] = f"{other.url}/there.bin"
        run(tmp_path, f"{web.url}/here", ACCESS_TOKEN="mine")
        assert all(asked.headers["authorization"] == "Bearer mine" for asked in web.asked)
        assert other.asked
        assert not any("authorization" in asked.headers for asked in other.asked)
        assert contents(tmp_path / "dataset") == {"here": BODY}
    web.moved["/round"] = f"{web.url}/round"
    with pytest.raises(UnreachableError, match="leads in circles"):
        run(tmp_path, f"{web.url}/round", ACCESS_TOKEN="mine")
    with pytest.raises(RefusedError, match=r"not with these credentials \(HTTP 401\)"):
        run(tmp_path, f"{web.url}/data/train.csv")


def test_what_is_not_there(web: Web, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"/none: there is no such thing \(HTTP 404\)"):
        run(tmp_path, f"{web.url}/none")
    with pytest.raises(UnreachableError, match=r"no answer from 127\.0\.0\.1:9: Connection refused"):
        run(tmp_path, "http://127.0.0.1:9/none")
    with pytest.raises(MisuseError, match="names no host"):
        run(tmp_path, "https:///none")


def test_archives_are_left_as_they_are_unless_asked(tmp_path: Path) -> None:
    with Web({"set.tar.gz": _tar({"a/1.txt": b"one"}), "set.zip": _zip({"2.txt": b"two"})}) as web:
        run(tmp_path / "kept", f"{web.url}/set.tar.gz")
        assert list(contents(tmp_path / "kept" / "dataset")) == ["set.tar.gz"]
        run(tmp_path / "tar", f"{web.url}/set.tar.gz", LIGHTSHIP_UNPACK="true")
        assert contents(tmp_path / "tar" / "dataset") == {"a/1.txt": b"one"}
        run(tmp_path / "zip", f"{web.url}/set.zip", LIGHTSHIP_UNPACK="1")
        assert contents(tmp_path / "zip" / "dataset") == {"2.txt": b"two"}


def test_an_archive_writes_nowhere_else(tmp_path: Path) -> None:
    with Web({"evil.tar.gz": _tar({"../../out": b"x"})}) as web, pytest.raises(DamagedError, match="cannot be unpacked"):
        run(tmp_path / "w", f"{web.url}/evil.tar.gz", LIGHTSHIP_UNPACK="1")
    assert not (tmp_path / "out").exists()


def _tar(files: dict[str, bytes]) -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w:gz") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return found.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return found.getvalue()


def test_https_with_a_certificate_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, both = _certificate(tmp_path)
    with Web({"a": BODY}, tls=both) as web:
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            run(tmp_path / "w", f"{web.url}/a")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        run(tmp_path / "w", f"{web.url}/a")
    assert contents(tmp_path / "w" / "dataset") == {"a": BODY}


def _certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for localhost that is its own authority; and the same with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate, both = directory / "ca.pem", directory / "both.pem"
    certificate.write_bytes(pem)
    both.write_bytes(pem + secret)
    return certificate, both


# Files of this machine -------------------------------------------------------------------------------------------------------------------


def test_files_and_claims_are_copied(tmp_path: Path) -> None:
    claim = tmp_path / "claim"
    (claim / "data" / "deep").mkdir(parents=True)
    (claim / "data" / "a.bin").write_bytes(BODY)
    (claim / "data" / "deep" / "b.log").write_bytes(b"b")
    (claim / "data" / "out").symlink_to("/etc/hostname")
    run(tmp_path / "one", f"file://{claim}/data", IGNORE_PATTERNS="*.log,out")
    assert contents(tmp_path / "one" / "dataset") == {"a.bin": BODY}
    run(tmp_path / "two", "pvc://mine/data", LIGHTSHIP_CLAIM=str(claim))
    assert contents(tmp_path / "two" / "dataset") == {"a.bin": BODY, "deep/b.log": b"b"}, "links out of a claim are left out"
    run(tmp_path / "three", "pvc://mine/data/a.bin", LIGHTSHIP_CLAIM=str(claim))
    assert contents(tmp_path / "three" / "dataset") == {"a.bin": BODY}


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("file:///none/at/all", MissingError, "no such file or directory"),
        ("file://host/data", MisuseError, "three slashes"),
        ("pvc://mine/data", MisuseError, "the claim is not mounted here"),
        ("pvc:///data", MisuseError, "names no claim"),
        ("cache://schema/table", MisuseError, "distributed data cache"),
        ("ftp://host/x", MisuseError, "must have the valid dataset provider: ftp:// is none of hf://"),
        ("org/name", MisuseError, "has no scheme: write, for example, hf://org/name"),
    ],
)
def test_refusals(tmp_path: Path, uri: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        run(tmp_path, uri)


def test_a_claim_has_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim" / "link").symlink_to(tmp_path)
    for path in "..", "link":
        with pytest.raises(MisuseError, match="leads out of the claim"):
            run(tmp_path / "w", f"pvc://mine/{path}", LIGHTSHIP_CLAIM=str(tmp_path / "claim"))


# The program ------------------------------------------------------------------------------------------------------------------------------


def test_failures_are_one_line_and_the_pods_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = tmp_path / "message"
    message.touch()
    environment = {"STORAGE_URI": "file:///none", "LIGHTSHIP_WORKSPACE": str(tmp_path), "LIGHTSHIP_TERMINATION_LOG": str(message)}
    assert program.main("model", environment) == 66
    want = "model initializer: file:///none: no such file or directory"
    assert capsys.readouterr().err == want + "\n"
    assert message.read_text() == want


def test_what_a_job_does_not_ask_for_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main("model", {"STORAGE_URI": "", "LIGHTSHIP_WORKSPACE": str(tmp_path)}) == 0
    assert "this job asks for no model" in capsys.readouterr().out
    assert program.main("model", {"LIGHTSHIP_TERMINATION_LOG": str(tmp_path / "none")}) == 64
    assert "STORAGE_URI env variable must be set." in capsys.readouterr().err


def test_a_workspace_that_cannot_be_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").touch()
    environment = {
        "STORAGE_URI": f"file://{tmp_path}",
        "LIGHTSHIP_WORKSPACE": str(tmp_path / "taken"),
        "LIGHTSHIP_TERMINATION_LOG": "/none",
    }
    assert program.main("dataset", environment) == 73
    assert "cannot write to" in capsys.readouterr().err
