"""Claims and the volumes that they get: matching, binding, handing over to provisioners, and what becomes of volumes afterwards.

`claims` and `volumes` decide what follows from an object, as steps; `controller` takes them. Nodes and schedulers read what is bound.
"""
