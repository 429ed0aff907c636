"""One file a claim: each measures ours and a peer in the same run, and prints both with their ratio."""
