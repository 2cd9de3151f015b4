"""The Common Expression Language as Kubernetes uses it: types, values, functions; parsing, checking, evaluating, counting costs."""
