"""Accelerators: found, told to the cluster, handed out, shown to containers. `desk` is what the rest of the node asks."""

COUNT, FILE = "LIGHTSHIP_GPUS", "LIGHTSHIP_DEVICES"
"""Variables: how many GPUs to offer, and the file of devices to pretend."""
MOST = 128
"""Devices of a node: as many as one ResourceSlice holds."""
