"""What `collector doctor` looks at before the first event: this machine, files, ports and sinks.

Modules that ask the system (`machine`, `volumes`, `ports`, `running`, `reaching`) say what there is
and judge nothing. What that means for settings is said by functions that ask nobody, a finding or a
few each. `collector check` has `certificates` and `backlog` of them, which look at files alone.
"""
