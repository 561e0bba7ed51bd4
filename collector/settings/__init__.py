"""From the text of a settings file to checked values: what `collector.config` is built on.

The file is read (`document`), the environment put in (`substitution`), the result held against
the declarations (`checking`, with the `kinds` of values and their `units`). Which settings exist
is declared in `collector.config` alone.
"""
