"""The pod network as the cluster sees it: addresses, names, services, and the ways in and out."""
