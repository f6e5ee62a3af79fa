"""Content-addressed computing: modules, tasks, receipts.

A task that a member signed is judged by `rules`, kept by `store`, placed on an executor by
`placement`, run by `executor` in the node's sandbox (`nodeimpl.sandbox`), and ends with a receipt
that whoever holds it can check (`opkit.proof.receipt`).
"""
