"""What parsers do, told to people: lists of fields, explanations of messages, what is new."""
