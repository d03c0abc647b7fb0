"""What a run is told: schema, checks, messages. Imports nothing heavy."""
