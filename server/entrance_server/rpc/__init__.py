"""The gRPC edge: turns calls into use cases, and what comes of them into messages."""
