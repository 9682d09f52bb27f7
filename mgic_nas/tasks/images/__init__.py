"""Image classification: sources of images, splits, loaders."""
