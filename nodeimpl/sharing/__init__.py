"""What several nodes keep together: durable replicas of signed objects, and how they spread."""
