"""Initializers: what fetches a TrainJob's dataset and model before its trainer starts.

`python -m lightship.train.runtime.initializers.dataset` (or `.model`) runs in pods, as the command of the images
`ghcr.io/kubeflow/trainer/dataset-initializer` and `model-initializer`, and with them on any cluster. It knows where to put things and what
the pod's environment says; nothing of TrainJobs, controllers or this platform. Standard library only, but for `sources.hub`
(huggingface_hub) and `sources.stores` (obstore), which are loaded when a URI asks for them.
Contract: Kubeflow Trainer 2.3, pkg/initializers: names of variables, schemes, places, default patterns.
"""
