"""What a release needs: packaged weights, screenshots, outputs of other projects as fixtures."""
