"""Elastic PyTorch jobs: the number of their nodes follows the capacity that is free, while they train.

`decide` says how many nodes there should be, `room` how many more would fit; both are pure. `controller` carries it out, through the JobSet
where that lets itself be resized (JobSet's gate ElasticJobSet), else on its Job. What joins and leaves is torchrun's to arrange.
"""
