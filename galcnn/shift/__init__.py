"""Does the answer change because the galaxy is further away? Covariate shift, measured and met."""
