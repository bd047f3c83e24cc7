"""Finished runs side by side: groups over seeds, differences, and how sure they are."""
