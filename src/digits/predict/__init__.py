"""From any picture of a handwritten digit to its class."""
