"""A trained network measured in detail, from its own record."""
