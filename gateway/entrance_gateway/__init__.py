"""REST in front of the gRPC service: a stateless translator that knows only the public proto."""
