"""Packages that a pod brings along: what its annotation may say."""

import pytest

from lightship.node.images import requirements
from lightship.node.images.requirements import RequirementsError


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", []),
        ("rich", ["rich"]),
        ("rich, httpx", ["rich", "httpx"]),
        ("rich\nhttpx >= 0.27, < 1\n", ["rich", "httpx>=0.27,<1"]),
        ("a==1.0.*,!=1.0.3,b", ["a==1.0.*,!=1.0.3", "b"]),
        ("uvicorn[standard, http]~=0.30 # a server", ["uvicorn[standard,http]~=0.30"]),
        ("# nothing\n\nrich,rich", ["rich"]),
        ("torch==2.13.0+cpu", ["torch==2.13.0+cpu"]),
    ],
)
def test_names_with_versions(text: str, want: list[str]) -> None:
    assert requirements.parse(text) == want


@pytest.mark.parametrize(
    "text",
    [
        "-r /etc/passwd",
        "--index-url=http://evil",
        "rich --hash=x",
        "x @ https://evil/x.whl",
        "git+https://evil/x",
        "./x.whl",
        "/tmp/x",
        "x; python_version > '3'",
        "x==",
        "x y",
        "x[",
        "$(HOME)",
        "é",
        "==1",
    ],
)
def test_nothing_else(text: str) -> None:
    with pytest.raises(RequirementsError, match="is no requirement"):
        requirements.parse(text)


def test_not_too_many() -> None:
    with pytest.raises(RequirementsError, match="101 requirements are too many"):
        requirements.parse(",".join(f"x{i}" for i in range(101)))
