"""Where jobs are durable: the port, and its implementation on SQLAlchemy."""
