"""What is known of a call and of its turns, and what travels with it from service to service."""
