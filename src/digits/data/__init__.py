"""MNIST: found or downloaded, verified, read, split, normalized, handed out in minibatches."""
