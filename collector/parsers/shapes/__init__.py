"""Shapes: a vendor's messages come in few of them, and what is known of one is not found again.

Messages of a shape have the same names in the same order, with values of the same kinds. Which
rules of the table apply to them, which fields their events have and in which order is the same for
all: it is worked out once (`outline`, `evaluation`), and what is left is to find the values and to
put them into their places, which `kernel` does, compiled.

Where the kernel was not built, and for messages of shapes that are not known, there is the general
way: the parser. Both make the same octets of a message.
"""
