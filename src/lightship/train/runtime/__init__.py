"""What runs inside the pods of TrainJobs. Never imports the control plane; ML libraries are imported here and nowhere else."""
