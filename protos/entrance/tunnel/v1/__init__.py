"""The tunnel's messages and stubs, generated from tunnel.proto."""
