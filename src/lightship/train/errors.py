"""What can keep a TrainJob from becoming a JobSet.

    Exception
     └─ TrainError              tried again later, told in an event
         ├─ PlanError           the TrainJob and its runtime do not fit together
         ├─ RuntimeMissingError the runtime does not exist (any more)
         ├─ SnapshotError       the snapshot's ConfigMap is somebody else's, or broken
         ├─ TakenError          an object of the name that ours must have is somebody else's
         └─ UnsupportedError    trying again cannot help: the TrainJob fails

Raised by the plugins, `snapshot` and the controller; caught by the controller.
"""


class TrainError(Exception):
    """See the module."""


class PlanError(TrainError):
    """See the module."""


class RuntimeMissingError(TrainError):
    """See the module."""


class SnapshotError(TrainError):
    """See the module."""


class TakenError(TrainError):
    """See the module."""


class UnsupportedError(TrainError):
    """See the module."""
