"""The runner: executes notebooks that tell flows, and writes a report that anyone can verify.

`run.run_flows` is the entry; `verify.verify_folder` checks what it wrote on any machine.
"""
