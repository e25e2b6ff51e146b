"""What annotators do: how well they agree, and which values they may have got wrong."""
