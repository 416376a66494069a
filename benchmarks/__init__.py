"""Speed and memory, each number beside its plain alternative from the same run."""
