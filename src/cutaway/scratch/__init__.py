"""Deep learning with no framework: numbers and arrays that remember how they were made, and what can be built of them."""
