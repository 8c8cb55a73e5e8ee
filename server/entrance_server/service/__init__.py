"""The use cases, one class per concern. Every rule that spans ports is here, access checks included."""
