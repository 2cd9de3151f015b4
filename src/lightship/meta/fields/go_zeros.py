"""What Go writes of a struct's fields when nothing was said of them, where an OpenAPI schema does not tell.

A time that is no pointer is written as null, and so are lists, maps and pointers without `omitempty`; some fields that are required are
left out when they are empty. Asked by `types` when it makes the type of a built-in struct.
Contract: the Go types of k8s.io/api, apimachinery and apiextensions, by the last steps of their definitions' names.
"""

_TRANSITION = ("lastTransitionTime",)
WRITTEN_AS_NULL: dict[str, tuple[str, ...]] = {
    "apiextensions.v1.CustomResourceDefinitionCondition": _TRANSITION,
    "apiregistration.v1.APIServiceCondition": _TRANSITION,
    "apps.v1.DaemonSetCondition": _TRANSITION,
    "apps.v1.DeploymentCondition": ("lastTransitionTime", "lastUpdateTime"),
    "apps.v1.ReplicaSetCondition": _TRANSITION,
    "apps.v1.StatefulSetCondition": _TRANSITION,
    "autoscaling.v2.HorizontalPodAutoscalerCondition": _TRANSITION,
    "autoscaling.v2.HorizontalPodAutoscalerStatus": ("currentMetrics",),
    "batch.v1.JobCondition": ("lastProbeTime", "lastTransitionTime"),
    "certificates.v1.CertificateSigningRequestCondition": ("lastTransitionTime", "lastUpdateTime"),
    "core.v1.AzureFilePersistentVolumeSource": ("secretNamespace",),
    "core.v1.ContainerImage": ("names",),
    "core.v1.ContainerStateRunning": ("startedAt",),
    "core.v1.ContainerStateTerminated": ("finishedAt", "startedAt"),
    "core.v1.Event": ("eventTime", "firstTimestamp", "lastTimestamp"),
    "core.v1.EventSeries": ("lastObservedTime",),
    "core.v1.NamespaceCondition": _TRANSITION,
    "core.v1.NodeCondition": ("lastHeartbeatTime", "lastTransitionTime"),
    "core.v1.PersistentVolumeClaimCondition": ("lastProbeTime", "lastTransitionTime"),
    "core.v1.PodCondition": ("lastProbeTime", "lastTransitionTime"),
    "core.v1.ProjectedVolumeSource": ("sources",),
    "core.v1.ReplicationControllerCondition": _TRANSITION,
    "core.v1.TypedLocalObjectReference": ("apiGroup",),
    "core.v1.TypedObjectReference": ("apiGroup",),
    "discovery.v1.EndpointSlice": ("endpoints", "ports"),
    "events.v1.Event": ("deprecatedFirstTimestamp", "deprecatedLastTimestamp"),
    "flowcontrol.v1.FlowSchemaCondition": _TRANSITION,
    "flowcontrol.v1.LimitedPriorityLevelConfiguration": ("nominalConcurrencyShares",),
    "flowcontrol.v1.PriorityLevelConfigurationCondition": _TRANSITION,
    "flowcontrol.v1.ResourcePolicyRule": ("namespaces",),
    "networking.v1.IngressClassParametersReference": ("scope",),
    "rbac.v1.ClusterRole": ("rules",),
    "rbac.v1.Role": ("rules",),
    "resource.v1.AllocatedDeviceStatus": ("conditions",),
    "resource.v1.CapacityRequestPolicy": ("default",),
    "resource.v1.DeviceClaim": ("requests",),
    "scheduling.v1alpha2.PodGroupSpec": ("podGroupTemplateRef",),
    "scheduling.v1alpha2.PodGroupTemplate": ("schedulingConstraints",),
    "storage.v1.CSINodeDriver": ("topologyKeys",),
    "storage.v1.VolumeError": ("time",),
}
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec": ("policyName", "validationActions"),
    "authentication.v1.TokenReviewSpec": ("token",),
    "core.v1.ContainerRestartRule": ("action",),
    "core.v1.ContainerRestartRuleOnExitCodes": ("operator",),
    "core.v1.ImageVolumeStatus": ("imageRef",),
    "core.v1.PodCertificateProjection": ("keyType", "signerName"),
    "networking.v1.IPAddressSpec": ("parentRef",),
    "networking.v1.ParentReference": ("name", "resource"),
    "resource.v1.CapacityRequestPolicyRange": ("min",),
    "resource.v1.CounterSet": ("counters",),
    "resource.v1.DeviceCounterConsumption": ("counters",),
}


def key(definition: str) -> str:
    """The name that the tables have for a definition: its group's package, version and type."""
    return ".".join(definition.rsplit(".", 3)[1:])
