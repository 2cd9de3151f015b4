"""What backs a volume is deleted behind the platform's back: the directory of a claim, the environment behind an image volume."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .kit import CLAIMS, PODS, Obj, eventually
from .test_faults import World, world

__all__ = ["world"]
pytestmark = pytest.mark.slow

WAITS = "while ! test -e /tmp/end; do sleep 0.1; done; "


def claim(name: str) -> Obj:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def mounted(volume: Obj) -> Obj:
    return {"volumes": [{"name": "v", **volume}], "container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}}


def test_the_directory_of_a_claim(world: Callable[..., World]) -> None:
    here = world()
    api = here.api
    api.create(CLAIMS, claim("data"))
    api.run("mounted", WAITS + "ls /v; exit 3", **mounted({"persistentVolumeClaim": {"claimName": "data"}}))
    api.phase("mounted", "Running")
    directory = next((here.site.data / "volumes").glob("pvc-*"))
    shutil.rmtree(directory)
    assert api.get(f"{PODS}/mounted")["status"]["phase"] == "Running"
    user = {"securityContext": {"runAsUser": 1234}}
    api.run("next", "echo word > /v/word && cat /v/word", **mounted({"persistentVolumeClaim": {"claimName": "data"}}), **user)
    api.phase("next", "Succeeded", "Failed")
    assert api.log("next") == "word\n", "the directory is made again, for everybody"
    api.phase("mounted", "Running")
    shutil.rmtree(directory)
    directory.write_text("")
    api.run("wrong", "true", **mounted({"persistentVolumeClaim": {"claimName": "data"}}))
    here.until_event("wrong", "FailedMount")
    assert api.get(f"{PODS}/wrong")["status"]["phase"] == "Pending"
    directory.unlink()
    api.phase("wrong", "Succeeded")
    api.delete(f"{CLAIMS}/data")
    here.clean()


def test_what_is_behind_an_image_volume(world: Callable[..., World], tmp_path: Path) -> None:
    here = world()
    api = here.api
    file = tmp_path / "file"
    file.write_text("text")
    (here.site.data / "images.json").write_text(json.dumps([{"pattern": "data", "files": {"/file": str(file)}}]))
    volume = {"image": {"reference": "data", "pullPolicy": "Always"}}
    api.run("mounted", "cat /v/file; exec sleep 1000", restartPolicy="Always", **mounted(volume))
    api.phase("mounted", "Running")
    file.unlink()
    api.run("late", "cat /v/file", **mounted(volume))

    def waiting() -> str:
        found = api.get(f"{PODS}/late")["status"].get("containerStatuses") or [{}]
        return str(found[0].get("state", {}).get("waiting", {}).get("message", ""))

    eventually(lambda: str(file) in waiting(), "it is told which file is not there", waiting)
    assert api.get(f"{PODS}/late")["status"]["phase"] == "Pending"
    assert api.get(f"{PODS}/mounted")["status"]["phase"] == "Running", "what is mounted stays"
    file.write_text("text")
    api.phase("late", "Succeeded")
    assert api.log("late") == "text"
    here.clean()
