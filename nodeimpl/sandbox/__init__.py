"""The sandbox: modules are compiled and run here, in worker processes that hold no keys.

It knows bytes, limits and outcomes, and nothing of a node: no member, no store, no network, which a
contract for its imports holds it to. `sandbox` is what others call; `spawner`, `worker` and what
they load run in processes of their own. Source: ADR 0007.
"""
