"""Attribution methods, one a file; methods that differ only in the rule at rectifiers share one."""
