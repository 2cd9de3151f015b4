"""What pods of the scenarios come to, as kwok Stages: a pod with the label `fate` ends as that says, once it runs.

The Stages go beside those that `.oracle/manifests` has of kwok; whoever emulates nodes plays all of them.
"""

from typing import Any

Obj = dict[str, Any]
FATE = "fate"
_INDEX = '.metadata.annotations["batch.kubernetes.io/job-completion-index"]'
_FAILURES = '.metadata.annotations["batch.kubernetes.io/job-index-failure-count"]'
_ATTEMPT = '.metadata.labels["jobset.sigs.k8s.io/restart-attempt"]'
_ENDED = """\
{{ $now := Now }}
phase: %(phase)s
conditions:
- type: Ready
  status: "False"
  reason: %(reason)s
  lastTransitionTime: {{ $now | Quote }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: false
  restartCount: 0
  started: false
  state:
    terminated:
      exitCode: %(code)d
      reason: %(reason)s
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
"""


def stages() -> list[Obj]:
    return [
        _stage("succeed", 0),
        _stage("fail", 1),
        _stage("fail-with-3", 3),
        # One index fails whenever it is tried, the others succeed.
        _stage("index-1-fails", 1, _key(_INDEX, "In", "1")),
        _stage("index-1-fails", 0, _key(_INDEX, "NotIn", "1")),
        # Each index fails once.
        _stage("each-fails-once", 1, _key(_FAILURES, "In", "0")),
        _stage("each-fails-once", 0, _key(_FAILURES, "NotIn", "0")),
        _stage("index-0-succeeds", 0, _key(_INDEX, "In", "0")),
        _stage("first-attempt-fails", 1, _key(_ATTEMPT, "In", "0")),
        _stage("first-attempt-fails", 0, _key(_ATTEMPT, "NotIn", "0")),
    ]


def _stage(fate: str, code: int, *also: Obj) -> Obj:
    ended = {"phase": "Failed" if code else "Succeeded", "reason": "Error" if code else "Completed", "code": code}
    expressions = [
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        _key(".status.phase", "In", "Running"),
        _key(f'.metadata.labels["{FATE}"]', "In", fate),
        *also,
    ]
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": f"{fate}-{code}"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": expressions},
            "next": {"statusTemplate": _ENDED % ended},
        },
    }


def _key(path: str, operator: str, *values: str) -> Obj:
    return {"key": path, "operator": operator, "values": list(values)}
