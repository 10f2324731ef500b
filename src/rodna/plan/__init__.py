"""What to train: laws, memory, FLOPs, the machine, and a reasoned proposal."""
