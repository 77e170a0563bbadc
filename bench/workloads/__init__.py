"""What is measured: one file a workload. Each declares one `Workload`, and programs for it."""
