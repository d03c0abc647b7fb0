"""The process that computes: imports, threads, memory."""
