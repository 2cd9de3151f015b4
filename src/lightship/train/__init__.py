"""Train: TrainJobs and the runtimes they run on, as Kubeflow Trainer 2.3 defines them.

A TrainJob names a runtime (a JobSet template with a machine-learning policy); the controller turns the two into one JobSet through
ordered plugins and reports the JobSet's fate back. What runs the JobSet's pods is none of this room's business.
Doors: `api` (kinds and rules), `admission`, `controller.controllers`, `bootstrap`, `cli`.
"""
