"""Code that travels with a job: which files, and how they get into its pods.

`folder` and `imports` find the files, `parcel` makes the objects, `option` is the door for users of the SDK, `adoption` gives the
ConfigMaps to their TrainJob. The command line is `train.cli.run`.
"""

from .errors import ShippingError
from .option import ship

__all__ = ["ShippingError", "ship"]
