"""What an operator remembers: keys, codecs, descriptors, and the write-back log over a store."""
