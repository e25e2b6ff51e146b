"""COVID-19 lung involvement on CT: lungs, lesions, their quantities, and the readers' word."""
