"""Who calls, and may they: credentials to principals, and the scopes that calls need."""
