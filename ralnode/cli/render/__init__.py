"""How answers look to people: one module per noun, each a function from a dataclass to something rich can print."""
