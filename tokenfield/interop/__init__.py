"""Checkpoints of other projects as models of this one: `tokenfield import`.

    from tokenfield.interop.checkpoints import import_checkpoint

    model = import_checkpoint("epoch400_model.pt", "config.yaml")
    tokenfield.save(model, "ipc-imagenette-178")

A project is a file (`ginr_ipc`, `trans_inr`, `anr`, `autoencoder_kl`): how its checkpoints are recognised, what its
configurations say, and where each tensor goes. What they share: `reading` opens files so that nothing in them can run,
`settings` knows every entry of a configuration, `tensors` every tensor of a checkpoint, `choices` is what is left to
the caller. What is unknown, missing or of another shape is named, never ignored.
"""
