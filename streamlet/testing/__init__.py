"""What pipelines are tested with."""
