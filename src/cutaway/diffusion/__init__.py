"""Pictures that come into focus: flow matching, U-Net, diffusion transformer, guidance, a text encoder, a VAE."""
