"""Reports in words: a grammar, house styles, patients, and what spoils texts and labels."""
