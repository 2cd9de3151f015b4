"""Requests that validating policies judge, and webhooks with match conditions: what expressions see, and what becomes of what they say."""

from lightship.meta.objects import Obj

from .policy_words import (
    DENY,
    DEPLOYMENTS,
    HERE,
    PARAMS,
    Case,
    binding,
    create,
    delete,
    deployment,
    made,
    obj,
    patch,
    policy,
    probes,
    refs,
    rule,
    secret,
)

HOOK: Obj = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "NS"},
    "webhooks": [
        {
            "name": "hook.example.com",
            "clientConfig": {"url": "https://127.0.0.1:1/x"},
            "rules": [rule(operations="CREATE")],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "NS"}},
        }
    ],
}
"""A webhook that nobody answers for."""

_REQUEST = (
    "request.operation + ' ' + request.name + ' ' + (has(request.namespace) ? request.namespace : '-')",
    "request.kind.group + '/' + request.kind.version + '/' + request.kind.kind",
    "request.resource.group + '/' + request.resource.version + '/' + request.resource.resource",
    "request.requestKind.kind + request.requestResource.resource",
    "string(has(request.subResource)) + string(has(request.requestSubResource))",
    "has(request.subResource) ? request.subResource : 'none'",
    "string(request.dryRun) + string(has(request.userInfo.uid)) + string(has(request.userInfo.extra)) + request.userInfo.username",
    "'system:masters' in request.userInfo.groups ? 'master' : 'nobody'",
    "request.options == null ? 'null' : request.options.kind + request.options.apiVersion",
    "has(request.options.dryRun) ? request.options.dryRun[0] : 'wet'",
    "has(request.options.fieldManager) ? request.options.fieldManager : 'nobody'",
    "string(object == null) + string(oldObject == null)",
    "string(has(object.metadata.uid)) + string(has(object.metadata.creationTimestamp)) + string(has(object.metadata.resourceVersion))",
    "has(object.metadata.namespace) ? object.metadata.namespace : 'nowhere'",
    "object.kind + object.apiVersion",
    "string(has(object.metadata.generation)) + string(has(object.metadata.managedFields))",
    "string(has(oldObject.metadata.uid)) + string(has(oldObject.data))",
)

CASES: tuple[Case, ...] = (
    Case(
        "deny",
        [
            policy("object.metadata.name != 'bad'", {"expression": "!('x' in object.data)", "message": " no x ", "reason": "Forbidden"}),
            binding(),
        ],
        [
            create(data={"y": "1"}),
            create(name="bad", data={"x": "1"}),
            create(name="b", data={"x": "1"}),
            create(name="c"),
            patch({"data": {"x": "2"}}),
        ],
    ),
    Case("large", [policy({**DENY, "reason": "RequestEntityTooLarge"}), binding()], [create()]),
    Case("several-actions", [policy("1 == 2", DENY), binding("Warn", "Audit"), binding("Deny", name="NS-2")], [create()]),
    Case("unbound", [policy("false")], [create()]),
    Case("generated", [policy("false"), binding()], [made(obj("ConfigMap", "", metadata={"generateName": "gen-"}))]),
    Case(
        "messages",
        [
            policy(
                {"expression": "false", "message": "plain", "messageExpression": "' '"},
                {"expression": "false", "message": "plain", "messageExpression": "'a\\nb'"},
                {"expression": "false", "messageExpression": "[1].map(x, string(x))[3]"},
                {"expression": "  1 > 2 "},
                {"expression": "false", "message": "plain", "messageExpression": "string(object.nothing)"},
                {"expression": "false", "message": "plain", "messageExpression": "' made: ' + object.metadata.name + ' '"},
                {"expression": "false", "messageExpression": "string([1].map(x, x + 1).size())"},
            ),
            binding("Warn"),
        ],
        [create()],
    ),
    Case(
        "request",
        probes(*_REQUEST),
        [
            create(data={"a": "1"}),
            patch({"data": {"b": "2"}}, query="?dryRun=All&fieldManager=me"),
            create(name="b", query="?fieldManager=you"),
        ],
    ),
    Case(
        "deletion",
        probes(*_REQUEST[:12], "string(has(oldObject.data))", rules=[rule(operations="DELETE")]),
        [create(data={"a": "1"}), delete()],
    ),
    Case(
        "status",
        probes(
            *_REQUEST,
            "string(has(object.status)) + string(object.spec.replicas)",
            rules=[rule("deployments/status,deployments/scale", "apps")],
        ),
        [
            made(deployment()),
            patch({"status": {"observedGeneration": 1}}, "Deployment", "d/status"),
            patch({"spec": {"replicas": 2}}, "Deployment", "d/scale"),
        ],
    ),
    Case(
        "shapes",
        probes(
            "string(has(object.status)) + string(has(object.spec.strategy)) + string(has(object.spec.replicas))",
            "string(has(object.spec.template.spec.containers[0].resources))",
            "string(has(object.spec.template.metadata.creationTimestamp))",
            "string(has(object.metadata.labels)) + string(has(object.metadata.annotations))",
            "string(type(object.spec.replicas) == int) + string(type(object.spec) == map)",
            "string(object.spec.template.spec.containers[0].size())",
            "string(object.spec.size()) + ' ' + string(object.size()) + ' ' + string(object.spec.template.spec.size())",
            "object.spec.map(k, k).join(',').size() > 0 ? 'keys' : 'none'",
            rules=[DEPLOYMENTS],
        ),
        [made(deployment()), patch({"metadata": {"labels": {"x": "y"}}}, "Deployment", "d")],
    ),
    Case(
        "namespace",
        probes(
            "namespaceObject.metadata.name + string(has(namespaceObject.metadata.labels)) + namespaceObject.status.phase",
            "string(has(namespaceObject.metadata.finalizers)) + namespaceObject.spec.finalizers[0]",
            "string(namespaceObject.metadata.creationTimestamp < timestamp('2000-01-01T00:00:00Z'))",
            "string(has(namespaceObject.metadata.UID))",
            "namespaceObject.metadata.labels['kubernetes.io/metadata.name']",
            "string(namespaceObject == null)",
            "string(dyn(namespaceObject).metadata.size())",
            "string(has(dyn(namespaceObject).metadata.managedFields)) + string(has(dyn(namespaceObject).kind))",
        ),
        [create()],
    ),
    Case(
        "variables",
        [
            policy(
                "variables.name == 'a' && variables.twice == 'aa'",
                "variables.lost == 1",
                "variables.list[0] == 'x' && variables.list.size() == 2",
                "has(variables.name)",
                "object.metadata.name != 'a' || variables.lost.x == 1",
                "variables.number + 1 == 3",
                variables=[
                    {"name": "name", "expression": "object.metadata.name"},
                    {"name": "twice", "expression": "variables.name + variables.name"},
                    {"name": "lost", "expression": "object.spec.lost"},
                    {"name": "list", "expression": "['x', 'y']"},
                    {"name": "number", "expression": "2"},
                ],
            ),
            binding("Warn"),
        ],
        [create(), create(name="b")],
    ),
    Case(
        "errors",
        [
            policy(
                "object.data.x == '1'",
                "object.data.y.z == 1",
                "object.data.y[0] == 1",
                "[1][object.data.size()] == 1",
                "object.data.y > 3",
                "1 / (object.data.size() - 1) == 1",
                "object.data.y == '1' && object.nothing",
                "int(object.data.y) == 1 && int(object.metadata.name) == 2",
                "object.data.map(k, object.data[k])[0].matches(object.data.y + '[')",
                "oldObject.metadata.name == 'a'",
                "object.nothing.exists(x, x == 1)",
                "dyn(object.data.y).contains(dyn(2))",
                "dyn(1) + dyn('a') == 2",
                "dyn([1])['a'] == 1",
                "quantity(object.data.y + 'z').isGreaterThan(quantity('1'))",
                "duration(object.data.y) == duration('1s')",
                "timestamp(object.data.y) == timestamp('2000-01-01T00:00:00Z')",
                "optional.none().value() == 1",
                "object.?nothing.orValue(1) == 2",
                "url(object.data.y).getHost() == 'x'",
                "object.data['q'] == '1'",
                "!object.data",
                "object.metadata.name ? true : false",
                "-object.metadata.name == 'a'",
                "object.metadata.name.size == 1",
            ),
            binding("Warn"),
        ],
        [create(data={"y": "1"})],
    ),
    Case(
        "costly",
        [
            policy(
                "object.data.y.split('').all(x, object.data.y.split('').all(y, object.data.y.split('').all(z, z == 'a')))",
                "true",
                "object.data.y == 'b'",
            ),
            binding("Warn"),
        ],
        [create(data={"y": "a" * 200})],
    ),
    Case(
        "spent",
        [policy(*(["object.data.y.split('').all(x, object.data.y.split('').all(y, y == 'a'))"] * 14), "false"), binding("Warn")],
        [create(data={"y": "a" * 300}), create(name="b", data={"y": "a" * 500})],
    ),
    Case(
        "spent-variable",
        [
            policy(
                "variables.v",
                "variables.v && object.metadata.name == 'x'",
                variables=[{"name": "v", "expression": "object.data.y.split('').all(x, object.data.y.split('').all(y, y == 'a'))"}],
            ),
            binding("Warn"),
        ],
        [create(data={"y": "a" * 300}), create(name="b", data={"y": "a" * 900})],
    ),
    Case(
        "ignore",
        [policy("object.nothing == 1", "object.metadata.name != 'bad'", failurePolicy="Ignore"), binding()],
        [create(), create(name="bad")],
    ),
    Case(
        "conditions",
        [
            policy(
                "false",
                matchConditions=[
                    {"name": "named", "expression": "object.metadata.name != 'free'"},
                    {"name": "data", "expression": "object.data.x == '1'"},
                    {"name": "more", "expression": "object.data.y == '1'"},
                ],
            ),
            binding(),
        ],
        [
            create(name="free"),
            create(name="b"),
            create(name="c", data={"x": "2"}),
            create(name="d", data={"x": "1", "y": "1"}),
            create(name="e", data={"y": "1"}),
        ],
    ),
    Case(
        "conditions-ignored",
        [policy("false", failurePolicy="Ignore", matchConditions=[{"name": "data", "expression": "object.data.x == '1'"}]), binding()],
        [create(), create(name="b", data={"x": "1"})],
    ),
    Case(
        "conditions-know",
        [
            policy(
                "false",
                matchConditions=[
                    {"name": "ns", "expression": "namespaceObject == null"},
                    {"name": "auth", "expression": "authorizer.requestResource.check('get').allowed()"},
                    {"name": "request", "expression": "request.resource.resource == 'configmaps' && request.kind.kind == 'ConfigMap'"},
                ],
            ),
            binding(),
        ],
        [create()],
    ),
    Case(
        "params",
        [
            secret("p1", "one", pick="yes"),
            secret("p2", "two", pick="yes"),
            policy(
                {
                    "expression": "params == null || params.type == object.metadata.name",
                    "messageExpression": "string(params.kind + params.metadata.name)",
                },
                **PARAMS,
            ),
            binding(**refs(name="p1")),
            binding("Warn", name="NS-2", **refs(selector={"matchLabels": {"pick": "yes"}})),
            binding("Warn", name="NS-3", **refs(name="p2", namespace="NS")),
            binding("Warn", name="NS-4"),
        ],
        [create(), create(name="one"), create(name="two")],
    ),
    Case("params-lost", [policy("false", **PARAMS), binding(**refs(name="lost"))], [create()]),
    Case("params-none", [policy("false", **PARAMS), binding(**refs(selector={"matchLabels": {"no": "such"}}))], [create()]),
    Case("params-allowed", [policy("false", **PARAMS), binding(**refs(name="lost", parameterNotFoundAction="Allow"))], [create()]),
    Case("params-ignored", [policy("false", failurePolicy="Ignore", **PARAMS), binding(**refs(name="lost"))], [create()]),
    Case(
        "params-scope",
        [
            policy("params.value > 2000001", paramKind={"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}),
            binding(**refs(name="system-node-critical", namespace="NS")),
            binding("Warn", name="NS-2", **refs(name="system-node-critical")),
        ],
        [create()],
    ),
    Case(
        "params-kind",
        [policy("false", paramKind={"apiVersion": "nowhere.io/v1", "kind": "Thing"}, constraints=HERE), binding(**refs(name="a"))],
        [create()],
    ),
    Case(
        "params-cluster",
        [
            policy("false", rules=[rule("priorityclasses", "scheduling.k8s.io", operations="CREATE")], **PARAMS),
            binding(**refs(name="a"), matchResources={"objectSelector": {"matchLabels": {"of": "NS"}}}),
        ],
        [made(obj("PriorityClass", "NS", "scheduling.k8s.io/v1", value=5, metadata={"labels": {"of": "NS"}}))],
    ),
    Case(
        "authorizer",
        [
            policy(
                "!authorizer.group('').resource('pods').namespace('NS').check('create').allowed()",
                "authorizer.serviceAccount('NS', 'default').group('').resource('pods').check('get').allowed()",
                "authorizer.path('/healthz').check('get').reason() == 'x'",
                "authorizer.serviceAccount('NS', 'default').path('/healthz').check('get').allowed()",
                "authorizer.requestResource.check('create').errored()",
                "authorizer.requestResource.name('other').check('create').reason() != ''",
                "authorizer.serviceAccount('NS', 'Default').path('/healthz').check('get').allowed()",
                "authorizer.group('apps').resource('').check('get').allowed()",
            ),
            binding("Warn"),
        ],
        [create()],
    ),
    Case(
        "asking-messages",
        [
            policy(
                {"expression": "false", "messageExpression": "string(variables.may)"},
                "variables.may && object.metadata.name == 'b'",
                variables=[{"name": "may", "expression": "authorizer.requestResource.check('create').allowed()"}],
            ),
            binding("Warn"),
        ],
        [create()],
    ),
    Case(
        "annotations",
        [
            policy(
                "true",
                auditAnnotations=[
                    {"key": "one", "valueExpression": "'name ' + object.metadata.name"},
                    {"key": "none", "valueExpression": "null"},
                    {"key": "bad", "valueExpression": "object.metadata.name == 'b' ? string(object.lost) : 'fine'"},
                ],
            ),
            binding(),
        ],
        [create(), create(name="b")],
    ),
    Case(
        "annotations-asking",
        [
            policy("true", auditAnnotations=[{"key": "one", "valueExpression": "string(authorizer.path('/x').check('get').allowed())"}]),
            binding(),
        ],
        [create()],
    ),
    Case(
        "excluded",
        [
            policy(
                "false",
                rules=[rule(operations="CREATE", resourceNames=["a", "b"])],
                constraints={"excludeResourceRules": [rule(resourceNames=["b"])]},
            ),
            binding(matchResources={"excludeResourceRules": [rule(resourceNames=["none"])]}),
        ],
        [create(), create(name="b"), create(name="c")],
    ),
    Case(
        "selected",
        [policy("false", constraints={"objectSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}), binding("Warn")],
        [
            create(),
            create(name="b", metadata={"labels": {"x": "1"}}),
            patch({"metadata": {"labels": {"x": None}}}, name="b"),
            patch({"data": {"x": "1"}}, name="b"),
        ],
    ),
    Case(
        "rules-of-binding",
        [
            policy("false", rules=[rule("configmaps,secrets", operations="CREATE")]),
            binding("Warn", matchResources={"resourceRules": [rule("secrets")]}),
        ],
        [create(), create("Secret", "s")],
    ),
    Case(
        "versions",
        [
            *probes(
                "object.apiVersion + request.kind.version + request.requestKind.version + request.resource.version",
                rules=[rule("horizontalpodautoscalers", "autoscaling", "v2")],
            ),
        ],
        [
            made(
                obj(
                    "HorizontalPodAutoscaler",
                    "h",
                    "autoscaling/v1",
                    spec={
                        "maxReplicas": 3,
                        "targetCPUUtilizationPercentage": 50,
                        "scaleTargetRef": {"kind": "D", "name": "d", "apiVersion": "a/v1"},
                    },
                )
            )
        ],
    ),
    Case(
        "versions-exact",
        [policy("false", rules=[rule("horizontalpodautoscalers", "autoscaling", "v2")], constraints={"matchPolicy": "Exact"}), binding()],
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
        "webhook-conditions",
        [
            {
                **HOOK,
                "webhooks": [
                    {
                        **HOOK["webhooks"][0],
                        "matchConditions": [
                            {"name": "a", "expression": "object.metadata.name != 'free'"},
                            {"name": "b", "expression": "object.data.x == 'y'"},
                            {
                                "name": "c",
                                "expression": "request.kind.kind == 'ConfigMap' && authorizer.requestResource.check('get').allowed()",
                            },
                        ],
                    }
                ],
            }
        ],
        [create(name="free"), create(name="b"), create(name="c", data={"x": "z"})],
    ),
)
