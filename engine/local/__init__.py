"""A local language model that answers core over pipes: any causal or seq2seq model of transformers."""
