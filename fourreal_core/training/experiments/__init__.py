"""What compares and explains; nothing of the product needs it."""
