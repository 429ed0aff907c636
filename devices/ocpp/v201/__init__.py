"""OCPP 2.0.1: its message types; the adapter that reads them arrives as one module beside them."""
