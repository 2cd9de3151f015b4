"""The node: takes the pods that are bound to this machine and makes them run as processes.

`agent` is what `main` runs; below it a pure core (`pods.sync`, `pods.status`, `inputs.env`, ...) and two runtimes behind one seam. A client
of any Kubernetes API; refuses to know which server answers. The README tells the way of a pod from door to end.
"""
