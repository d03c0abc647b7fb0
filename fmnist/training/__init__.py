"""How a net is trained: the LightningModule, what happens beside it, formats, processes."""
