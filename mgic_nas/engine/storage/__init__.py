"""What is remembered of a run: configuration, folder, study, trials, weights, latencies."""
