"""Where jobs are trained."""
