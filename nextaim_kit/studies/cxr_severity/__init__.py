"""COVID-19 severity from chest X-ray and clinical data."""
