"""MPI in pods: `mpirun`, and the way into other nodes of a job. Standard library only; imported by programs that images bring."""
