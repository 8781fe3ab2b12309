"""Azure Communication Services: thin adapters over the official clients, with errors of ours."""
