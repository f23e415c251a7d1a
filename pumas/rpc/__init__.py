"""The JSON-RPC server: the method table, what comes in, what goes out, who may ask."""
