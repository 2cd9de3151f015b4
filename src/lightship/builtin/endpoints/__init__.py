"""Which pods stand behind a Service: EndpointSlices, and the older Endpoints, for every Service with a selector.

`build` makes the objects, `controller` keeps them. What resolves names and forwards connections reads them.
"""
