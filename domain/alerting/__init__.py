"""What is wrong and who is told: how alerts open, fold and end, and how the mails about them are planned and written."""
