"""The offline model: a small masked language model and a similarity scorer on CPU, without a network or torch."""
