"""Custom kinds: from CustomResourceDefinition objects to served resources and back.

`serving` follows the definitions of the store; `objects` turns definitions into resources, `names` says who gets which names, `status` what
a definition is told of itself, `emptying` deletes what a kind had. Objects of custom kinds are `custom_objects`' and `conversion`'s matter.
Contract: apiextensions.k8s.io/v1.
"""
