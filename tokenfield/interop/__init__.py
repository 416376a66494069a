"""Checkpoints of other projects as models of this one: `tokenfield import`.

    from tokenfield.interop.checkpoints import import_checkpoint

    model = import_checkpoint("epoch400_model.pt", "config.yaml")
    tokenfield.save(model, "ipc-imagenette-178")

A project is a file (`ginr_ipc`, `trans_inr`, `anr`, `autoencoder_kl`): how its checkpoints are recognised, what its
configurations say, and where each tensor goes. They share `settings`, which knows every entry of a configuration,
`tensors`, every tensor of a checkpoint, and `project`. What is unknown, missing or of another shape is named, never
ignored.
"""
