"""The local copy of what Dataverse knows: who the agents are, whom to tell, what to say."""
