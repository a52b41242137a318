"""Attribution methods, one per file; methods that differ only in their rule at ReLUs share a file."""
