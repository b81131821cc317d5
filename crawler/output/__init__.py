"""Where items go: validated, encoded, appended."""
