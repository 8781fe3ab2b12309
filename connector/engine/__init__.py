"""Takes an event, stores the decision and its effects in one transaction, and performs the effects."""
