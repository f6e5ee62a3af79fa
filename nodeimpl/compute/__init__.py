"""Content-addressed computing: modules, tasks, workers without keys, receipts.

Modules are compiled and run in worker processes that hold no keys (`sandbox`). A task that a
member signed is judged by `rules`, kept by `store`, placed on an executor by `placement`, run by
`executor`, and ends with a receipt that whoever holds it can check (`opkit.proof.receipt`).
"""
