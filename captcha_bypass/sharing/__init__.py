"""Clearances that several tasks share, and one solve for all who need the same."""
