"""What we are measured against, as small as it can be."""
