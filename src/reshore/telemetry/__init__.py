"""What is told of requests while the server runs: logs and metrics, each declared once."""
