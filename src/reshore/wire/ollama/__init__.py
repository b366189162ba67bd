"""Ollama's dialect, /api."""
