"""llama.cpp children: plan, process, pool."""
