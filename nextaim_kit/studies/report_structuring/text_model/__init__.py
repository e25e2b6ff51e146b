"""A text-to-text model that writes a report's values: T5's architecture, held to the template."""
