"""How state is kept: alignment, pending checkpoints, files, manifests, savepoints."""
