"""Which backend and which model answer."""
