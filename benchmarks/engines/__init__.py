"""One program per engine; each runs one workload over one file and prints its answer."""
