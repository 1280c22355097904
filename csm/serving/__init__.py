"""The kit that a service starts from: settings, bootstrap, health, errors, metrics, logging."""
