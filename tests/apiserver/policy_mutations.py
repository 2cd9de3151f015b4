"""Requests that mutating policies change, and what they may not do."""

from .policy_words import DEPLOYMENTS, PARAMS, Case, create, deployment, made, mutation, obj, patch, refs, rule, secret

CASES: tuple[Case, ...] = (
    Case(
        "versions-mutated",
        mutation("Object{spec: Object.spec{minReplicas: 2}}", rules=[rule("horizontalpodautoscalers", "autoscaling", "v2")]),
        [
            made(
                obj(
                    "HorizontalPodAutoscaler",
                    "h",
                    "autoscaling/v1",
                    spec={"maxReplicas": 3, "scaleTargetRef": {"kind": "D", "name": "d", "apiVersion": "a/v1"}},
                )
            )
        ],
    ),
    Case(
        "apply",
        mutation(
            "Object{metadata: Object.metadata{labels: {'a': 'b'}, annotations: {'n': object.metadata.name}}}",
            "Object{data: {'seen': object.metadata.labels.a, 'ns': dyn(namespaceObject.metadata.name)}}",
        ),
        [create(data={"x": "1"}, metadata={"labels": {"k": "v"}}), patch({"data": {"y": "2"}})],
    ),
    Case(
        "apply-deployment",
        mutation(
            "Object{spec: Object.spec{replicas: 4, template: Object.spec.template{spec: Object.spec.template.spec{"
            "containers: [Object.spec.template.spec.containers{name: 'c', "
            "env: [Object.spec.template.spec.containers.env{name: 'E', value: '1'}]},"
            " Object.spec.template.spec.containers{name: 'side', image: 'x', "
            "ports: [Object.spec.template.spec.containers.ports{containerPort: 80}]}]}}}}",
            rules=[DEPLOYMENTS],
        ),
        [made(deployment())],
    ),
    Case(
        "apply-atomic",
        mutation(
            "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{"
            "containers: [Object.spec.template.spec.containers{name: 'c', args: ['-x']}], nodeSelector: {'a': 'b'}}}}}",
            rules=[DEPLOYMENTS],
        ),
        [made(deployment())],
    ),
    Case("apply-unknown", mutation("Object{spec: Object.spec{colour: 'red'}}", rules=[DEPLOYMENTS]), [made(deployment())]),
    Case("apply-type", mutation("Object{spec: Object.spec{replicas: 'many'}}", rules=[DEPLOYMENTS]), [made(deployment())]),
    Case("apply-names", mutation("Object{spec: Object.wrong{replicas: 1}}", rules=[DEPLOYMENTS]), [made(deployment())]),
    Case("apply-error", mutation("Object{data: {'x': object.data.lost}}"), [create()]),
    Case(
        "apply-ignored", mutation("Object{data: {'x': object.data.lost}}", "Object{data: {'y': '1'}}", failurePolicy="Ignore"), [create()]
    ),
    Case(
        "apply-optional",
        mutation("Object{metadata: Object.metadata{?labels: optional.none(), ?annotations: optional.of({'a': 'b'})}}"),
        [create()],
    ),
    Case("apply-invalid", mutation("Object{spec: Object.spec{replicas: -3}}", rules=[DEPLOYMENTS]), [made(deployment())]),
    Case("apply-null", mutation("Object{metadata: Object.metadata{labels: null}}"), [create(metadata={"labels": {"k": "v"}})]),
    Case(
        "apply-params",
        [
            secret("p1", "one", pick="yes"),
            secret("p2", "two", pick="yes"),
            *[
                {**o, "spec": {**o["spec"], **refs(selector={"matchLabels": {"pick": "yes"}})}} if "Binding" in o["kind"] else o
                for o in mutation("Object{data: {params.metadata.name: params.type}}", **PARAMS)
            ],
        ],
        [create()],
    ),
    Case(
        "apply-params-lost",
        [
            {**o, "spec": {**o["spec"], **refs(name="lost")}} if "Binding" in o["kind"] else o
            for o in mutation("Object{data: {params.metadata.name: params.type}}", **PARAMS)
        ],
        [create()],
    ),
    Case(
        "patch",
        mutation(
            "[JSONPatch{op: 'test', path: '/metadata/name', value: 'a'}, JSONPatch{op: 'add', path: '/data/z', value: 'y'}]",
            "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a~b': 'c'}},"
            " JSONPatch{op: 'copy', from: '/data/z', path: '/data/w'}]",
            "[JSONPatch{op: 'add', path: '/metadata/annotations', value: {}},"
            " JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey('ex.com/k'), value: 'v'}]",
        ),
        [create(data={"x": "1"}), create(name="b", data={"z": "1"})],
    ),
    Case("patch-missing", mutation("[JSONPatch{op: 'replace', path: '/data/z', value: 'y'}]"), [create(data={"x": "1"}), create(name="b")]),
    Case("patch-remove", mutation("[JSONPatch{op: 'remove', path: '/data/z'}]"), [create(data={"x": "1"})]),
    Case("patch-add", mutation("[JSONPatch{op: 'add', path: '/spec/z', value: 1}]"), [create(data={"x": "1"})]),
    Case("patch-op", mutation("[JSONPatch{op: 'invent', path: '/data', value: 1}]"), [create(data={"x": "1"})]),
    Case(
        "patch-unknown", mutation("[JSONPatch{op: 'add', path: '/spec/colour', value: 'red'}]", rules=[DEPLOYMENTS]), [made(deployment())]
    ),
    Case("patch-type", mutation("[JSONPatch{op: 'add', path: '/spec/replicas', value: 'red'}]", rules=[DEPLOYMENTS]), [made(deployment())]),
    Case(
        "patch-object",
        mutation(
            "[JSONPatch{op: 'add', path: '/spec/template/spec/containers/-',"
            " value: Object.spec.template.spec.containers{name: 'side', image: 'x', args: ['a', 'b']}}]",
            rules=[DEPLOYMENTS],
        ),
        [made(deployment())],
    ),
    Case("patch-empty", mutation("[JSONPatch{op: 'test', path: '/data', value: 'q'}]"), [create()]),
    Case(
        "order",
        [
            *mutation("Object{data: {'b': string(object.?data.orValue({}).size())}}", name="NS-b"),
            *mutation("Object{data: {'a': string(object.?data.orValue({}).size())}}", name="NS-a"),
        ],
        [],
    ),
    Case(
        "again",
        mutation("Object{data: {'n': string(int(object.?data.?n.orValue('0')) + 1)}}", reinvocationPolicy="IfNeeded"),
        [create()],
    ),
    Case("never-again", mutation("Object{data: {'n': string(int(object.?data.?n.orValue('0')) + 1)}}"), [create()]),
    Case(
        "mutation-conditions",
        mutation("Object{data: {'x': 'y'}}", matchConditions=[{"name": "c", "expression": "object.data.z == '1'"}]),
        [create(data={"z": "1"}), create(name="b", data={"z": "2"}), create(name="c")],
    ),
    Case(
        "mutation-variables",
        mutation("Object{data: variables.data}", variables=[{"name": "data", "expression": "{'k': object.metadata.name}"}]),
        [create()],
    ),
)
