"""What is announced about a call, by whichever sender, and the event that it means. Pure."""
