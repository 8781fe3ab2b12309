"""Dataverse as the connector meets it: its Web API and its webhook sender, over the seeded organisation."""

from connector.sandbox.dataverse.app import Dataverse, dataverse_app
from connector.sandbox.dataverse.options import DataverseOptions, Rights

__all__ = ["Dataverse", "DataverseOptions", "Rights", "dataverse_app"]
