"""What runs containers: one seam (`runtime`), and behind it Linux namespaces or ordinary processes."""
