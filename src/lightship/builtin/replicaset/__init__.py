"""ReplicaSets and ReplicationControllers: as many pods of one template as asked for.

`sync` decides, `ranking` says which pods go first, `controller` carries out.
"""
