"""What a Python estate holds: one module for each way to find it."""
