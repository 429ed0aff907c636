"""What bounds and steers the current of a site, and what each charger was offered."""
