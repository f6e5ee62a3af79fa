"""The console's server: Voila for presenters, shared read-only pages for viewers, one port."""
