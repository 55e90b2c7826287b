"""Commands of the generator: sample, pretrain, data, bundles."""
