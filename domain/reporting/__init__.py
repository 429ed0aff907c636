"""What is sent and kept of usage: locked reports with their ledger, reports every month, and files that people ask for."""
