"""What a continuation costs, exactly and with as little work as possible."""
