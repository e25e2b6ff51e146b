"""What cuts across the studies: too little memory, too few data, explanations, reliability."""
