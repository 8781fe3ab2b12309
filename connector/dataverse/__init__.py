"""Dataverse: tokens, the Web API, and the bodies that its webhooks send."""
