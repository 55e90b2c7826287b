"""Properties predicted from latents: trained on a frozen autoencoder, shipped in a bundle's predictors/."""
