"""StatefulSets: pods with names and storage that stay, made, updated and removed in order.

`members` knows names and looks of pods and claims, `retention` whose the claims are, `sync` decides, `controller` carries out.
"""
