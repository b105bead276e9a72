"""Tasks whose pages wait for a person: which there are, and who is told."""
