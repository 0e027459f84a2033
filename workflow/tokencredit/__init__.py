"""Token-level credit assignment in reinforcement learning with verifiable rewards (arXiv 2604.11056)."""

__version__ = "0.1.0"
