"""Lists and single things as one person sees them."""
