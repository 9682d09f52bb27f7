"""What the accuracies so far say of the others."""
