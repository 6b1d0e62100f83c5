"""Files of the Hugging Face hub: fetched, checked, cached, and every failure in one sentence."""
