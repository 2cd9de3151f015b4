"""Representations: options, bodies and answers as clients write and want them.

`queries` and `negotiation` read what is asked for, `bodies` and `yaml_bodies` make objects of bytes, `rendering` makes bytes of objects
(JSON, YAML, protobuf, Tables by `tables`). Called by `operations` and `documents`. Knows neither who asks nor what becomes of it.
Contract: apimachinery runtime serializers; meta.k8s.io/v1 Table, PartialObjectMetadata.
"""
