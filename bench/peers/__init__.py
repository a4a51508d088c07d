"""What Stockroom is measured beside: other stacks that do the same, and servers that do next to nothing."""
