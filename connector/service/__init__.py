"""The HTTP service: webhooks of Dataverse and Event Grid, the API of soft-phones, health and metrics."""
