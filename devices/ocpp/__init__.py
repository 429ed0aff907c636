"""OCPP messages and what they mean to us: pure functions, no input or output."""
