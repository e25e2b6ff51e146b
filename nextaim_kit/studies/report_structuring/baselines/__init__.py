"""The methods to be beaten: majority, rules, words weighed one by one, and an encoder."""
