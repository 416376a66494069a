"""Systems that encode posed views."""
