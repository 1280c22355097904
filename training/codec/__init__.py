"""The stage `codec`: a small Mimi, trained on the teachers' audio."""
