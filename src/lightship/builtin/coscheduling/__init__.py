"""What PodGroups of coscheduling say of their pods. `phases` decides what, `controller` writes it down."""
