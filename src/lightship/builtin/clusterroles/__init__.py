"""ClusterRoles that are gathered from others by label: `controller` watches, `gather` decides."""
