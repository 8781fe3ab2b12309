"""The emergency-calling connector for Dynamics 365 contact centres."""
