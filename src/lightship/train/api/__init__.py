"""The Trainer API, trainer.kubeflow.org/v1alpha1: three `Resource`s, and the names that others write and read.

Imported by `main` (which hands the resources to the API server), by our controller and by rooms that make TrainJobs. Pure: schemas are
package data, rules are functions over plain objects (`trainjobs`, `runtimes`); rules that look at other objects are `train.admission`.
Contract: Kubeflow Trainer 2.3.0, CustomResourceDefinitions of trainer.kubeflow.org.
"""

from lightship.meta.resources import Column, Resource

from . import runtimes, trainjobs
from .names import (
    ANCESTOR_LABEL,
    CLUSTER_RUNTIME_KIND,
    COMPLETE,
    CONTROLLER_NAME,
    DATASET_INITIALIZER,
    DEADLINE_EXCEEDED,
    FAILED,
    FRAMEWORK_LABEL,
    GROUP,
    LAUNCHER,
    MODEL_INITIALIZER,
    NODE,
    RESOURCES_CREATION_FAILED,
    RESUMED,
    RUNTIME_KIND,
    RUNTIME_NOT_SUPPORTED,
    SUPPORT_LABEL,
    SUSPENDED,
    TRAINER,
    TRAINJOB_KIND,
    VERSION,
)
from .runs import TRAIN_JOB_RUNS
from .schemas import load

_RUNTIME_SCHEMA = load("runtime.json")

TRAIN_JOBS = Resource(
    group=GROUP,
    version=VERSION,
    kind=TRAINJOB_KIND,
    plural="trainjobs",
    singular="trainjob",
    status=True,
    custom=True,
    schema=load("trainjob.json"),
    columns=(
        Column("State", json_path=".status.conditions[-1:].type"),
        Column("Age", type="date", json_path=".metadata.creationTimestamp"),
    ),
    default=trainjobs.default,
    validate=trainjobs.validate,
    unconditional_update=False,
)
TRAINING_RUNTIMES = Resource(
    group=GROUP,
    version=VERSION,
    kind=RUNTIME_KIND,
    plural="trainingruntimes",
    singular="trainingruntime",
    custom=True,
    schema=_RUNTIME_SCHEMA,
    validate=runtimes.validate,
    unconditional_update=False,
)
CLUSTER_TRAINING_RUNTIMES = Resource(
    group=GROUP,
    version=VERSION,
    kind=CLUSTER_RUNTIME_KIND,
    plural="clustertrainingruntimes",
    singular="clustertrainingruntime",
    namespaced=False,
    custom=True,
    schema=_RUNTIME_SCHEMA,
    validate=runtimes.validate,
    unconditional_update=False,
)
RESOURCES = (TRAIN_JOBS, TRAINING_RUNTIMES, CLUSTER_TRAINING_RUNTIMES)
"""Upstream's kinds."""
SERVED = (*RESOURCES, TRAIN_JOB_RUNS)
"""All kinds of this room."""

__all__ = [
    "ANCESTOR_LABEL",
    "CLUSTER_RUNTIME_KIND",
    "CLUSTER_TRAINING_RUNTIMES",
    "COMPLETE",
    "CONTROLLER_NAME",
    "DATASET_INITIALIZER",
    "DEADLINE_EXCEEDED",
    "FAILED",
    "FRAMEWORK_LABEL",
    "GROUP",
    "LAUNCHER",
    "MODEL_INITIALIZER",
    "NODE",
    "RESOURCES",
    "RESOURCES_CREATION_FAILED",
    "RESUMED",
    "RUNTIME_KIND",
    "RUNTIME_NOT_SUPPORTED",
    "SERVED",
    "SUPPORT_LABEL",
    "SUSPENDED",
    "TRAINER",
    "TRAINING_RUNTIMES",
    "TRAINJOB_KIND",
    "TRAIN_JOBS",
    "TRAIN_JOB_RUNS",
    "VERSION",
]
