"""The stand-in of Azure Communication Services: phone numbers, SIP routing, e-mail, Call Automation."""

from connector.sandbox.acs.app import Acs

__all__ = ["Acs"]
