"""Definitions and their objects against what kube-apiserver 1.36.3 said to the same requests, recorded in `crd_cases/`.

A story is a list of requests that are sent to one server of ours, one after the other, over HTTP; each has the answer that the real server
gave (`tools/record_crd_cases.py` asks it again). What differs between any two runs was left out of the record, and is left out of ours.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightship.meta.objects import Obj

from .http_site import HttpSite, Response, run

_STORIES = Path(__file__).parent / "crd_cases"
_VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "managedFields", "lastTransitionTime", "time")
_PATCHED = re.compile(r'patch:? Invalid value: ".*?[^\\]": ', re.DOTALL)
_GO = re.compile(r"(alid value: )\[?\{.*\}\]?(?=: )", re.DOTALL)
_RANDOM = re.compile(r"\b(x_)[bcdfghjklmnpqrstvwxz2456789]{5}\b")
"""Values that the real server prints by the names of Go's fields."""


@pytest.mark.parametrize("path", sorted(_STORIES.glob("*.json")), ids=lambda path: path.stem)
def test_as_the_real_server(path: Path) -> None:
    differences: list[str] = []
    steps = json.loads(path.read_text())

    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for i, step in enumerate(steps):
            if "wait" not in step:
                headers = {"content_type": step.get("type", "application/json"), "user_agent": "test"}
                if "accept" in step:
                    headers["accept"] = step["accept"]
                body = step["text"].encode() if "text" in step else step.get("body")
                answer = await wire.ask(step["verb"], step["path"], body, **headers)
                found = {"code": answer.code, "body": _body(answer), **_warnings(answer.headers)}
                if (difference := _compared(step, found)) is not None:
                    differences.append(f"{i} {step['verb']} {step['path']} {json.dumps(step.get('body'))[:300]}\n{difference}")

    run(test)
    assert not differences, "\n".join(["", *differences])


def _body(answer: Response) -> Any:
    return answer.obj if answer.headers["content-type"].startswith("application/json") else answer.body.decode()


def _warnings(headers: dict[str, str]) -> Obj:
    return {"warnings": headers["warning"]} if "warning" in headers else {}


def _compared(step: Obj, found: Obj) -> str | None:
    want = step.get("ours") or step["want"]
    if want["code"] == found["code"] == 404 and isinstance(want["body"], str):
        return None
    wanted, got = _comparable(want["body"]), _comparable(found["body"])
    if not (isinstance(wanted, dict) and isinstance(got, dict)):
        return None if wanted == got else f"  want {wanted}\n  got  {got}"
    if step["verb"] != "GET" and wanted.get("kind") == got.get("kind") == "CustomResourceDefinition":
        # The real server's controllers speak a moment later; ours has said it all in the same write.
        wanted.pop("status", None), got.pop("status", None)
    if want["code"] == found["code"] and wanted == got and _told(want) == _told(found):
        return None
    return (
        f"  want {want['code']} {_told(want)} {json.dumps(wanted)[:2500]}\n  got  {found['code']} {_told(found)} {json.dumps(got)[:2500]}"
    )


def _told(answer: Obj) -> list[str]:
    """Warnings; the real server sends each as a header of its own."""
    listed = answer.get("warnings") or []
    return sorted(re.findall(r'299 - "(?:[^"\\]|\\.)*"', ", ".join(listed) if isinstance(listed, list) else listed))


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("kind") == "Status" and value.get("status") == "Failure":
            return _refusal(value)
        if "priority" in value and value.get("name") in ("Name", "Age"):
            value = {**value, "description": ""}  # prose
        found = {k: _comparable(v) for k, v in value.items() if k not in _VOLATILE and v not in (None, "")}
        return {k: v for k, v in found.items() if k != "metadata" or v}
    return [_comparable(v) for v in value] if isinstance(value, list) else value


def _refusal(status: Obj) -> Obj:
    """Causes in any order: the real server walks maps as they come."""
    details = status.get("details") or {}
    causes = sorted({_plain(f"{c.get('reason')} {c.get('field')} {c.get('message')}") for c in details.get("causes") or ()})
    message = "" if len(causes) > 1 else _plain(status.get("message") or "")
    return {"code": status.get("code"), "reason": status.get("reason"), "message": message, "causes": causes, "kind": details.get("kind")}


def _plain(text: str) -> str:
    text = _PATCHED.sub("patch: Invalid value: OBJECT: ", text)
    return _RANDOM.sub(r"\1RANDOM", _GO.sub(r"\1{…}", text))
