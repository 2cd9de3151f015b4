"""Names of the Trainer contract: group, kinds, labels, condition types and reasons, messages, environment.

Everything here is written or read by others (the SDK, dashboards, Kueue), so nothing may be renamed.
Contract: Kubeflow Trainer 2.3.0, pkg/constants and the condition constants of v1alpha1.
"""

GROUP = "trainer.kubeflow.org"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
TRAINJOB_KIND = "TrainJob"
RUNTIME_KIND = "TrainingRuntime"
CLUSTER_RUNTIME_KIND = "ClusterTrainingRuntime"

CONTROLLER_NAME = f"{GROUP}/trainjob-controller"
"""The `spec.managedBy` for which our controller works; any other value means hands off."""
MULTIKUEUE = "kueue.x-k8s.io/multikueue"

ANCESTOR_LABEL = f"{GROUP}/trainjob-ancestor-step"
"""On a replicated job's template: which part of the TrainJob it carries out."""
FRAMEWORK_LABEL = f"{GROUP}/framework"
"""On a runtime; the SDK ignores runtimes without it."""
SUPPORT_LABEL = f"{GROUP}/support"
DEPRECATED = "deprecated"
WEBHOOK_LABEL = f"{GROUP}/webhook-validation"
"""`disabled` on a runtime lifts the rules on its replicated jobs."""

TRAINER = "trainer"
DATASET_INITIALIZER = "dataset-initializer"
MODEL_INITIALIZER = "model-initializer"
NODE = "node"
"""The trainer's container, and the replicated job whose pod 0 is the master."""
REQUIRED_CONTAINER = {TRAINER: NODE, DATASET_INITIALIZER: DATASET_INITIALIZER, MODEL_INITIALIZER: MODEL_INITIALIZER}
"""Ancestor step → the container that its replicated job must have."""
INITIALIZER_VOLUME = "initializer"
TRAINER_PORT = 29500

SNAPSHOT_SUFFIX = "-runtime-snapshot"
SNAPSHOT_KEY = "runtime"

SUSPENDED, COMPLETE, FAILED = "Suspended", "Complete", "Failed"
"""The only condition types. There is no Running: the SDK takes any condition at all to mean that a job does not run."""
RESUMED = "Resumed"
DEADLINE_EXCEEDED = "DeadlineExceeded"
RUNTIME_NOT_SUPPORTED = "TrainingRuntimeNotSupported"
SUSPENDED_MESSAGE = "TrainJob is suspended"
RESUMED_MESSAGE = "TrainJob is resumed"
DEADLINE_MESSAGE = "TrainJob exceeded its active deadline"
RESOURCES_CREATION_FAILED = "TrainJobResourcesCreationFailed"
"""Reason of the Warning event while the runtime's objects cannot be made."""

COMPLETION_INDEX_PATH = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
DEPRECATION_POLICY_URL = "https://trainer.kubeflow.org/en/latest/operator-guides/runtime.html#runtime-deprecation-policy"
