"""The use cases, one class per concern: every rule that spans ports, access checks included."""
