"""The synthetic cell: molecules, and the microscopes that look at them."""
