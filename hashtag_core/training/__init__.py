"""Training: the loop, what it is made of, checkpoints, run folders."""
