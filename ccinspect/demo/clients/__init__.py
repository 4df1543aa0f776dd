"""Programs that the demonstration runs. They know their provider's address by heart and nothing of ccinspect."""
